"""The collector's own process in a cluster: what an exporter counts is what is said, whatever stops."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.collector.adapters.kubernetes import memory
from services.collector.app import build
from services.collector.domain.world import Replica
from services.collector.settings import Settings
from so1s.broker.reader import Reader
from so1s.events import UsageSampled
from so1s.events.codec import decode
from so1s.settings import KafkaSettings
from so1s.store import Store
from so1s_lab import LAB_DIR
from so1s_lab.control_plane import ControlPlane
from so1s_lab.prometheus import Prometheus
from so1s_lab.runner import Runner
from tests.lab.installed import Kubernetes, cluster, machine, serving  # noqa: F401 - fixtures
from tests.lab.missing import skipped_where_missing

WINDOW_SECONDS = 2
GATEWAY = "gateway"


class Exporter:
    """Counts a request each twentieth of a second, and the hundredth of a second of CPU that it takes."""

    def __init__(self, namespace: str, pod: str) -> None:
        self.counted = 0
        self._host = f"fraud.{namespace}.svc.cluster.local"
        self._pod = f'namespace="{namespace}",pod="{pod}",container="server"'

    async def count(self) -> None:
        while True:
            self.counted += 1
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncGenerator[str]:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text = (
            f'envoy_cluster_upstream_rq{{response_code_class="2xx",'
            f'cluster_name="outbound|80||{self._host}"}} {self.counted}\n'
            f"container_cpu_usage_seconds_total{{{self._pod}}} {self.counted / 100}\n"
            f"container_memory_working_set_bytes{{{self._pod}}} {2**20}\n"
        )
        head = (
            f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {len(text)}"
        )
        writer.write(f"{head}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()


class Server:
    """A Prometheus that the test stops and starts."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.prometheus = Prometheus(runner.directory("prometheus"))

    def start(self) -> None:
        with skipped_where_missing():
            self._runner.start(self.prometheus)

    def stop(self) -> None:
        self._runner.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    with Runner(LAB_DIR / "run" / f"collector-{uuid.uuid4().hex[:8]}") as runner:
        made = Server(runner)
        made.start()
        yield made


@pytest.fixture
async def exporter(cluster, machine, server) -> AsyncGenerator[Exporter]:  # noqa: F811
    """Of the one replica of a deployment, whose requests it counts from the beginning."""
    await serving(cluster, machine)
    (pod,) = machine.names()
    made = Exporter(machine.namespace, pod)
    async with made.serving() as address:
        server.prometheus.scrape("gateway", address)
        yield made


@pytest.fixture
def settings(
    own_kafka: str,
    tmp_path: Path,
    kubernetes: ControlPlane,
    machine: Kubernetes,  # noqa: F811
    server: Server,
) -> Settings:
    return Settings(
        source="cluster",
        kafka=own_kafka,
        instance="one",
        database_url=f"sqlite+aiosqlite:///{tmp_path}/collector.db",
        kubeconfig=kubernetes.kubeconfig,
        namespace_prefix=machine.prefix,
        prometheus_url=server.prometheus.url,
        gateway_metrics="envoy",
        gateway_up='up{job="gateway"}',
        window_seconds=WINDOW_SECONDS,
        settle_seconds=1.5,
        stale_seconds=1.9,
    )


@pytest.fixture
def said(own_kafka: str):
    async def read() -> list[UsageSampled]:
        async with Reader(KafkaSettings(kafka=own_kafka), [UsageSampled.topic.name]) as reader:
            received = [decode(UsageSampled, each.headers, each.value) async for each in reader.past()]
        # What is sent twice, as by a service that is killed, has the same id, and counts once.
        return [*{each.id: each.event for each in received}.values()]

    return read


def total(events: list[UsageSampled], meter: Any) -> int:
    return sum(each.quantities.get(meter, 0) for each in events)


def follow_on(events: list[UsageSampled]) -> bool:
    """Whether each window was said once, and none was left out."""
    starts = sorted(each.window_start for each in events)
    width = timedelta(seconds=WINDOW_SECONDS)
    return all(later - earlier == width for earlier, later in itertools.pairwise(starts))


async def test_each_window_is_said_once_over_restarts_of_prometheus_and_of_the_collector(
    settings, said, server, exporter, eventually
):
    async def complete(least: int) -> bool:
        return len([each for each in await said() if each.quality == "complete"]) >= least

    async def gateway_is_known() -> bool:
        return any(each.replica == GATEWAY and each.quality != "gap" for each in await said())

    async def more(requests: int) -> None:
        wanted = exporter.counted + requests
        await eventually(lambda: exporter.counted >= wanted)

    async with build(settings).running():
        await eventually(gateway_is_known)
        counting = asyncio.create_task(exporter.count())
        await eventually(lambda: complete(4))
    await more(100)  # while no collector runs
    async with build(settings).running():
        await eventually(lambda: complete(12))
        await asyncio.to_thread(server.stop)
        await more(100)  # while nobody scrapes
        await asyncio.to_thread(server.start)
        await more(100)
        counting.cancel()

        async def all_said() -> bool:
            return total(await said(), "requests") == exporter.counted

        await eventually(all_said)
        await eventually(lambda: complete(16))
    events = await said()
    by_replica = [each for each in events if each.replica != GATEWAY]
    by_gateway = [each for each in events if each.replica == GATEWAY]
    assert len({each.replica for each in by_replica}) == 1
    assert follow_on(by_replica)
    assert follow_on(by_gateway)
    assert total(by_gateway, "requests") == exporter.counted
    assert total(by_replica, "cpu_used") == exporter.counted * 10_000
    assert {"gap", "partial", "complete"} == {each.quality for each in by_gateway}


async def remembered(settings: Settings, uid: str) -> Replica:
    """A replica as the collector was told of it."""
    store = Store(settings.database_url.get_secret_value(), producer="collector")
    try:
        async with store.read() as connection:
            return (await memory.all_replicas(connection))[uid]
    finally:
        await store.close()


async def test_a_replica_that_ends_reserves_until_then(
    settings,
    said,
    exporter,
    machine,  # noqa: F811
    eventually,
):
    (pod,) = machine.living()
    uid = pod["metadata"]["uid"]

    async def of_it() -> list[UsageSampled]:
        return [each for each in await said() if each.replica == uid]

    async def windows(least: int) -> bool:
        return len(await of_it()) >= least

    async def another_goes_on() -> bool:
        last = max(each.window_start for each in await of_it())
        return any(each.window_start > last for each in await said() if each.replica not in {uid, GATEWAY})

    async with build(settings).running():
        await eventually(lambda: windows(2))
        begun = datetime.fromisoformat(pod["status"]["startTime"])
        asked = datetime.now(UTC).replace(microsecond=0)  # as a pod's deletion is told, to the second
        await machine.api.delete("v1", "Pod", machine.namespace, pod["metadata"]["name"])
        await eventually(another_goes_on)
        known = datetime.now(UTC)
    found = await of_it()
    assert follow_on(found)
    life = await remembered(settings, uid)
    assert life.started_ms == begun.timestamp() * 1000
    assert asked.timestamp() * 1000 <= life.ended_ms <= known.timestamp() * 1000
    assert total(found, "cpu_reserved") == (life.ended_ms - life.started_ms) * 100

"""A console on a real server, with a real broker."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable

import httpx
import pytest

from services.console.app import build
from services.console.metrics import WAITS
from so1s import events
from so1s.broker.reader import Reader
from so1s.events.codec import decode
from so1s.events.envelope import Cause
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from so1s_broker import Broker
from tests import played_events as played
from tests.console.conftest import MIGRATIONS, bearer, uploaded
from tests.tables import make_tables


async def read(kafka, event_class):
    settings = KafkaSettings(kafka=kafka)
    async with Reader(settings, [event_class.topic.name]) as reader:
        return [decode(event_class, each.headers, each.value) async for each in reader.past()]


async def test_an_accepted_event_reaches_kafka_and_its_answer_the_one_who_waits(
    own_kafka, settings, serve, eventually
):
    service = build(settings.model_copy(update={"kafka": own_kafka}))
    async with service.running(), serve(service) as console:
        token = await console.token()
        assert (await console.post(token, uploaded())).status_code == 202
        await eventually(lambda: read(own_kafka, events.ModelUploaded), seconds=30)
        waiting = asyncio.create_task(
            console.http.get("/v1/chains/run-7?known=1&wait_seconds=30", headers=bearer(token))
        )
        async with AsyncPublisher(KafkaSettings(kafka=own_kafka)) as publisher:
            await publisher.publish(
                played.build_failed("fraud"), source="so1s/builder", cause=Cause("run-7", "run-7")
            )
        told = (await waiting).json()["events"]
        assert [each["type"] for each in told] == ["so1s.ModelUploaded.v1", "so1s.BuildFailed.v1"]
        assert told[1]["data"]["log_tail"] == played.build_failed("fraud").log_tail
    (received,) = await read(own_kafka, events.ModelUploaded)
    assert (received.id, received.source) == ("run-7", "account/risk/airflow/risk_daily")


async def test_an_event_that_was_accepted_while_kafka_was_away_arrives_once_when_it_is_back(
    settings, serve, eventually, tmp_path
):
    broker = Broker(tmp_path / "kafka")
    broker.start()
    kafka = broker.bootstrap_servers
    service = build(settings.model_copy(update={"kafka": kafka}))
    try:
        async with service.running(), serve(service) as console:
            token = await console.token()
            await asyncio.to_thread(broker.kill)
            for _ in range(2):
                assert (await console.post(token, uploaded("while-away"))).status_code == 202
            assert (await service.store.outbox.depth()).unsent == 1
            broker = Broker(tmp_path / "kafka", port=int(kafka.rpartition(":")[2]))
            await asyncio.to_thread(broker.start)

            async def is_sent():
                return (await service.store.outbox.depth()).unsent == 0

            await eventually(is_sent)
        assert [each.id for each in await read(kafka, events.ModelUploaded)] == ["while-away"]
    finally:
        await asyncio.to_thread(broker.stop)


async def test_a_client_that_gives_up_waiting_is_noticed(console, serve, eventually):
    token = await console.token()
    async with serve(console.service) as served:
        brief = httpx.Timeout(60, read=0.5)
        with pytest.raises(httpx.ReadTimeout):
            await served.http.get("/v1/chains/x?wait_seconds=30", headers=bearer(token), timeout=brief)
        await eventually(lambda: WAITS._value.get() == 0)


async def test_an_event_that_was_accepted_outlives_a_crash_of_console_and_kafka(
    settings, eventually, tmp_path
):
    broker = Broker(tmp_path / "kafka")
    broker.start()
    kafka = broker.bootstrap_servers
    told = {
        "SO1S_KAFKA": kafka,
        "SO1S_DATABASE_URL": settings.database_url.get_secret_value(),
        "SO1S_ARTIFACTS": settings.artifacts,
        "SO1S_INSTANCE": "console-0",
        "SO1S_HTTP_PORT": str(free_port()),
    }
    console = Crashing(told)
    try:
        await console.start(eventually)
        answer = await console.say(uploaded("before-the-crash"), before=broker.kill)
        assert answer.status_code == 202
        await console.kill()
        await asyncio.to_thread(broker.start)
        await console.start(eventually)
        await eventually(lambda: read(kafka, events.ModelUploaded), seconds=30)
        assert [each.id for each in await read(kafka, events.ModelUploaded)] == ["before-the-crash"]
    finally:
        await console.kill()
        await asyncio.to_thread(broker.stop)


class Crashing:
    """A console as a process of its own, which a test kills."""

    def __init__(self, told: dict[str, str]) -> None:
        self._told = os.environ | told
        self._url = f"http://127.0.0.1:{told['SO1S_HTTP_PORT']}"

    async def start(self, eventually) -> None:
        command = (sys.executable, "-m", "services.console")
        self._process = await asyncio.create_subprocess_exec(*command, env=self._told, stdout=DEVNULL)
        await eventually(self._is_ready, seconds=30)

    async def _is_ready(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"{self._url}/readyz")).is_success
            except httpx.TransportError:
                return False

    async def say(self, event: dict, *, before: Callable[[], None]) -> httpx.Response:
        create = (sys.executable, "-m", "services.console", "token", "create")
        making = await asyncio.create_subprocess_exec(
            *create, "--account", "risk", "--scope", "publish", env=self._told, stdout=PIPE, stderr=DEVNULL
        )
        token = (await making.communicate())[0].decode().strip()
        await asyncio.to_thread(before)
        headers = bearer(token) | {"content-type": "application/cloudevents+json"}
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.post(f"{self._url}/v1/events", json=event, headers=headers)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def test_a_body_that_does_not_arrive_is_refused(settings, serve):
    service = build(settings.model_copy(update={"body_seconds": 0.2}))
    await make_tables(service.store, MIGRATIONS)
    async with serve(service) as console:
        host, port = console.http.base_url.host, console.http.base_url.port
        headers = {"host": "console", "content-length": "10", "content-type": "application/cloudevents+json"}
        said = headers | bearer(await console.token())
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"POST /v1/events HTTP/1.1\r\n{lines}\r\n{{".encode())
        async with asyncio.timeout(30):
            assert b" 408 " in await reader.readline()
        writer.close()
    await service.store.close()

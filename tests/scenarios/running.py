"""A platform that runs, and what a pipeline, an operator and a caller do with it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

import so1s
from so1s.blocking import LoopThread
from so1s.broker.reader import Reader, decoded, partitions_of
from so1s.events import Event
from so1s.events.envelope import Received, Record
from so1s.platform import ClientSettings
from so1s_local.demo.load import Load
from so1s_local.output import Logs
from so1s_local.settings import load
from so1s_local.supervisor import Supervisor
from so1s_local.units import Plan
from tests.scenarios.models import ROWS, predicted, write_model

E = TypeVar("E", bound=Event)
T = TypeVar("T")

ACCOUNT = "risk"
SERVE_SECONDS = 60
"""A start takes 2 s on an idle machine; others may use this one, too."""


class Running:
    """Every part of the platform, supervised in a thread."""

    def __init__(self, directory: Path, plan: type[Plan] = Plan, **settings: Any) -> None:
        """Make a platform with windows of 1 s; `settings` are more of the laptop's."""
        self.state = directory / ".so1s"
        self._directory = directory
        shipped = {"ports": {}, "window_seconds": 1, "account": ACCOUNT, "log_format": "json"}
        made = load().model_copy(update=shipped | settings)
        # What each platform of a session can have of the first one, and no more of it than most models need.
        builder = {"libraries_dir": str(directory.parent / "libraries"), "prepared_formats": '["onnx"]'}
        own = {"builder": builder}
        services = {name: own.get(name, {}) | told for name, told in made.services.items()}
        self.settings = made.model_copy(update={"services": services})
        self._plan_class = plan
        self._thread = LoopThread()
        self._thread.__enter__()
        self.http = httpx.Client(trust_env=False, timeout=30)

    @staticmethod
    def services() -> list[str]:
        return list(load().services)

    def start(self) -> None:
        self.plan = self._plan_class(self.settings, self.state)
        logs = Logs(self.plan.log_dir)
        self.supervisor = Supervisor(self.plan, output=logs.write, progress=lambda _name, _seconds: None)
        self.run(self.supervisor.__aenter__())
        self.at = self.plan.platform()
        self.client = self.plan.client()

    def announced(self) -> dict[str, Any]:
        """Where the parts are, as the supervisor told all who look for it."""
        return json.loads((self.state / "platform.json").read_text())

    def stop(self) -> None:
        self.run(self.supervisor.stop())

    def settle(self) -> None:
        """Wait until every part is ready, as one that died is started again."""
        parts = self.supervisor.processes.values()
        until(lambda: all(self.run(part.is_ready()) for part in parts), 60)

    def close(self) -> None:
        self.http.close()
        self._thread.__exit__()

    def run(self, work: Any) -> Any:
        """Run a coroutine beside the supervisor."""
        return self._thread.run(work)

    # What a pipeline does.

    def write(self, model: str, number: int) -> Path:
        return write_model(self._directory / "written" / model / f"{number}.onnx", number)

    def publish(
        self, model: str, number: int = 1, account: str = ACCOUNT, **said: Any
    ) -> so1s.PublishedModel:
        """Upload the tiny model of a number as that version."""
        path = said.pop("path", None) or self.write(model, number)
        return so1s.publish_model(
            model, path, version=str(number), account=account, settings=self.client, **said
        )

    def serve(self, model: str, number: int = 1, account: str = ACCOUNT, **said: Any) -> so1s.Serving:
        """Publish, and wait until it serves."""
        return self.publish(model, number, account, **said).wait_until_serving(SERVE_SECONDS)

    def say(self, event: Event, id: str | None = None) -> str:  # noqa: A002 - CloudEvents' word
        with so1s.Publisher(self.client) as publisher:
            return publisher.publish(event, id=id)

    # What a caller does.

    def ask(self, url: str, path: str = "/predict") -> httpx.Response:
        headers = {"host": urlsplit(url).netloc}
        return self.http.post(self.at.gateway + path, json={"x": ROWS.tolist()}, headers=headers)

    def predict(self, url: str) -> list[list[float]]:
        return self.ask(url).raise_for_status().json()["y"]

    def wanted(self, model: str, number: int) -> list[list[float]]:
        return predicted(self.write(model, number))

    def load(self, url: str, clients: int = 2) -> Load:
        return Load(url, self.at.gateway, {"x": ROWS.tolist()}, clients=clients)

    # What an operator sees.

    def get(self, service: str, path: str) -> Any:
        return self.http.get(f"{self.at.services[service]}/v1/{path}").raise_for_status().json()

    def endpoint(self, name: str, account: str = ACCOUNT) -> dict[str, Any]:
        found = self.get("router", f"endpoints?account={account}")["endpoints"]
        return next(each for each in found if each["endpoint"] == name)

    def weights(self, endpoint: str, account: str = ACCOUNT) -> dict[str, int] | None:
        """The weights that every gateway serves; None while they are on their way."""
        newest = self.endpoint(endpoint, account)["history"][0]
        return newest["weights"] if newest["applied_at"] else None

    def deployment(self, name: str, account: str = ACCOUNT) -> dict[str, Any] | None:
        found = self.get("deployer", f"deployments?account={account}")["deployments"]
        return next((each for each in found if each["deployment"] == name), None)

    def messages(self, about: str) -> list[dict[str, Any]]:
        """What Slack shows that speaks of something."""
        shown = self.http.get(f"{self.at.slack}/messages.json").json()["messages"]
        return [message for message in shown if about in json.dumps(message)]

    def so1s(self, *words: str) -> Any:
        """What the command line answers, as JSON."""
        command = [str(Path(sys.executable).with_name("so1s")), "--output", "json", *words]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def events(self, kind: type[E]) -> list[Received[E]]:
        """Every event of a type that Kafka holds, in the order of its producers' clocks."""
        found = [decoded(each) for each in self.raw(kind.topic.name)]
        return sorted(filter(None, found), key=lambda each: str(each.time))

    def records(self, *kinds: type[Event], about: str) -> list[ConsumerRecord]:
        """What Kafka holds of some types that speaks of something, byte for byte."""
        found = self.raw(*(kind.topic.name for kind in kinds))
        return [each for each in found if about.encode() in (each.value or b"")]

    def raw(self, *topics: str) -> list[ConsumerRecord]:
        """Every record of some topics."""
        return self.run(_records(self.client, topics))

    def send(self, *records: ConsumerRecord | Record) -> None:
        """Write records as they are."""
        self.run(_send(self.client, records))

    def letters(self) -> dict[str, int]:
        """How many dead letters each service has kept."""
        return {service: len(self.raw(f"so1s.dlq.{service}")) for service in self.at.services}

    def unhandled(self, service: str = "") -> int:
        """How many records all services, or one of them, have not committed."""
        return self.run(_unhandled(self.client, service))

    def replicas(self, deployment: str, account: str = ACCOUNT) -> list[dict[str, Any]]:
        """The records of a deployment's replicas, the ended ones too."""
        records = [json.loads(path.read_text()) for path in self._records()]
        return [each for each in records if (each["account"], each["deployment"]) == (account, deployment)]

    def living(self, deployment: str, account: str = ACCOUNT) -> list[dict[str, Any]]:
        return [each for each in self.replicas(deployment, account) if not each["ended_at"]]

    def processes(self) -> list[psutil.Process]:
        """Whatever runs on this platform's state."""
        return [process for process in psutil.process_iter() if _speaks_of(process, str(self.state))]

    def replica_processes(self) -> list[psutil.Process]:
        return [each for each in self.processes() if "so1s_runtime" in " ".join(_words(each))]

    def _records(self) -> Iterable[Path]:
        return (self.plan.world_dir / "replicas").glob("[!.]*.json")


def until(condition: Callable[[], T], seconds: float = 60.0) -> T:
    """Wait until a condition holds, and answer what it answered."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s; it is {found!r}"
        time.sleep(0.05)


async def _records(settings: ClientSettings, topics: Iterable[str]) -> list[ConsumerRecord]:
    async with Reader(settings, list(topics)) as reader:
        return [record async for record in reader.past()]


async def _send(settings: ClientSettings, records: Iterable[ConsumerRecord | Record]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for each in records:
            await producer.send_and_wait(each.topic, each.value, key=each.key, headers=list(each.headers))


async def _unhandled(settings: ClientSettings, service: str) -> int:
    waiting = 0
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka) as consumer:
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        await admin.start()
        groups = [group for group, *_ in await admin.list_consumer_groups()]
        for group in (each for each in groups if each.startswith(service)):
            committed = await admin.list_consumer_group_offsets(group)
            _, _, topic = group.partition(".")
            ends = await consumer.end_offsets(await partitions_of(settings, [topic]))
            waiting += sum(
                end - max(0, committed[each].offset if each in committed else 0) for each, end in ends.items()
            )
        await admin.close()
    return waiting


def _speaks_of(process: psutil.Process, path: str) -> bool:
    """Whether a process was started with a path, in its command or its environment."""
    if process.pid == os.getpid():
        return False
    with suppress(psutil.Error, OSError):
        said = [*process.cmdline(), *process.environ().values()]
        return process.status() != psutil.STATUS_ZOMBIE and any(path in each for each in said)
    return False


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []

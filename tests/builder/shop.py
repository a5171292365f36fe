"""A world in which a worker builds, without any library of models."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pydantic import SecretStr

from services.builder import logs
from services.builder.adapters.images_layout import LayoutImages
from services.builder.domain.compilation import Compilation
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from services.builder.handlers import consumer
from services.builder.layers import pack
from services.builder.ports import Dependencies, Log, Tools
from services.builder.settings import Settings
from services.builder.steps import World
from services.builder.stop import Stop
from services.builder.store import list_builds
from services.builder.worker import Terms, Worker, Workers
from so1s.events import Artifact, BuildFailed, Event, ImageBuilt, ModelUploaded, Signature, Tensor
from so1s.events.codec import decode
from so1s.events.envelope import Received, Record
from so1s.events.event import event_class
from so1s.requirements import Requirements
from so1s.store import Store
from so1s.testing import run

FOUND = Signature(
    inputs=[Tensor(name="x", dtype="float64", shape=[-1, 4])],
    outputs=[Tensor(name="label", dtype="int64", shape=[-1])],
)


COMPILED = Compilation(
    library="scikit-learn 1.9.1",
    compiler="skl2onnx 1.20.0",
    rows=705,
    sample_rows=5,
    difference=4e-8,
    place="probabilities[17,1]",
)


@dataclass
class EmptyDependencies:
    """A dependency source whose layer is empty, so that a build takes milliseconds."""

    images: LayoutImages
    directory: Path
    platform: str = "linux-x86_64-cp311"

    async def lock(
        self,
        asked: Requirements,
        needed: Sequence[str],
        base: Lock,
        log: Log,
        *,
        builds: bool = False,
        on_cpu: bool = False,
    ) -> Lock:
        log(f"{'builds' if builds else 'no'} sources")
        log(f"locked on {base.name}: {', '.join(asked.packages)}; {', '.join(needed)}")
        return Lock(
            "requirements.txt for the CPU" if on_cpu else "requirements.txt", "\n".join(asked.packages)
        )

    async def on_cpu(self, lock: Lock, needed: Sequence[str], log: Log) -> Lock:
        log(f"on the CPU {', '.join(needed)}")
        return replace(lock, name=f"{lock.name} for the CPU") if "\ntorch==" in lock.text else lock

    async def provide(self, lock: Lock, log: Log) -> Dependencies:
        tree, packed = self.directory / "empty", self.directory / f"{uuid.uuid4()}.tar.zst"
        tree.mkdir(parents=True, exist_ok=True)
        layer = pack(Stop(), tree, PurePosixPath("/opt/so1s/dependencies"), packed)
        await self.images.add(layer, packed)
        log(f"empty dependencies of {lock.name}")
        return Dependencies(lock, layer, tree, cached=True)

    async def install(self, lock: Lock, log: Log) -> Tools:
        log(f"tools of {lock.name}")
        return Tools(lock, self.directory / "tools")


@dataclass
class HeldInspector:
    """An inspector that finds what a test says; it can be held, to look at a build while it runs."""

    hold: bool = False
    error: Exception | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    checked: list[Path] = field(default_factory=list)
    isolates: bool = True
    found: Signature = FOUND
    compiled: Compilation | None = COMPILED

    async def warm(self, _dependencies: Dependencies) -> None: ...

    async def signature(self, _directory: Path, _dependencies: Dependencies) -> Signature:
        return self.found

    async def check(self, directory: Path, _dependencies: Dependencies) -> Signature:
        self.checked.append(directory)
        self.entered.set()
        if self.hold:
            await self.go_on.wait()
        if self.error:
            raise self.error
        return self.found

    async def compile(self, _directory: Path, into: Path, _tools: Tools) -> Compilation:
        await asyncio.to_thread(into.write_bytes, b"compiled")
        if self.compiled is None:
            raise BuildError("format", "its answers differ; leave `optimize` out")
        return self.compiled


@dataclass
class Shop:
    """A store, a world and an account's artifacts on disk."""

    store: Store
    directory: Path
    inspector: HeldInspector
    world: World

    @property
    def workers(self) -> Workers:
        return Workers([], poll_seconds=1)

    @property
    def settings(self) -> Settings:
        return Settings(database_url=SecretStr("sqlite://"), artifact_prefixes=self.world.prefixes)

    async def say(self, event: Event, event_id: str | None = None) -> list[Event]:
        """Give an event, which begins a chain, to the handlers; answers what they say."""
        given = {"store": self.store, "provide": [self.settings, self.workers]}
        return await run(consumer, event, event_id=event_id or str(uuid.uuid4()), **given)

    async def log(self, version: str = "3", number: int = 1) -> list[str]:
        async with self.store.read() as connection:
            return await logs.read(connection, "risk", "fraud", version, number)

    async def state(self, version: str = "3", account: str = "risk") -> str:
        async with self.store.read() as connection:
            rows = await list_builds(connection, account)
        return next(row["state"] for row in rows if row["version"] == version)

    def uploaded(self, version: str = "3", account: str = "risk", **said) -> ModelUploaded:
        """The event of an artifact; `data` are its bytes."""
        data, name = said.pop("data"), said.pop("name", f"{version}.skops")
        path = self.directory / "artifacts" / account / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        artifact = Artifact(uri=f"file://{path}", sha256=said.pop("sha256", None))
        return ModelUploaded(account=account, model="fraud", version=version, artifact=artifact, **said)

    def worker(
        self,
        name: str = "one",
        *,
        lease_seconds: float = 5,
        deadline_seconds: float = 60,
        builds_per_account: int = 9,
    ) -> Worker:
        terms = Terms(self.directory / "builder", lease_seconds, deadline_seconds, builds_per_account)
        return Worker(name, self.store, self.world, terms)

    async def emitted(self) -> list[Event]:
        """The events that were said since the last call."""
        return [each.event for each in await emitted(self.store)]

    async def answered(self) -> list[tuple[str, Event]]:
        """The ends of builds that were said since the last call, each after the id of whom it answers."""
        said = await emitted(self.store)
        assert len({each.id for each in said}) == len(said)
        ends = [each for each in said if isinstance(each.event, ImageBuilt | BuildFailed)]
        assert all(each.correlation_id == each.cause_id for each in ends)
        return [(each.cause_id, each.event) for each in ends]


@dataclass
class Recording:
    """Takes records in Kafka's stead."""

    records: list[Record] = field(default_factory=list)

    async def send(self, records: Sequence[Record]) -> None:
        self.records += records


async def emitted(store: Store) -> list[Received]:
    """Take the events out of an outbox."""
    sender = Recording()
    await store.outbox.flush(sender)
    return [
        decode(event_class(dict(record.headers)["ce_type"].decode()), record.headers, record.value)
        for record in sender.records
    ]

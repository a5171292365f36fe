"""A world in which a worker builds, without any library of models."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
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
from so1s.errors import TemporaryError
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
    """A dependency source whose packages are of one empty module each, so that a build takes milliseconds."""

    images: LayoutImages
    directory: Path
    index: Mapping[str, Sequence[str]] | None = None
    """The versions of each package, the newest last; by default whatever is asked for is there."""
    torch_is_on_cpu: bool = True
    """Whether an index has PyTorch for the CPU alone."""
    is_away: bool = False
    platform: str = "linux-x86_64-cp311"
    locks: dict[str, Lock] = field(default_factory=dict)

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
        key = f"{asked} {needed} {base.sha256} {on_cpu}"
        if key not in self.locks:
            self._require_index("requirements.txt cannot be resolved")
            wanted: dict[str, SpecifierSet] = {}
            for each in map(Requirement, (*asked.packages, *needed)):
                wanted[each.name] = wanted.get(each.name, SpecifierSet()) & each.specifier
            versions = {name: self._version(name, fit, base) for name, fit in wanted.items()}
            lock = locked(versions, "requirements.txt")
            self.locks[key] = self._with_torch_on_cpu(lock) if on_cpu else lock
        return self.locks[key]

    async def on_cpu(self, lock: Lock, needed: Sequence[str], log: Log) -> Lock:
        log(f"on the CPU {', '.join(needed)}")
        return self._with_torch_on_cpu(lock)

    async def provide(self, lock: Lock, log: Log) -> Dependencies:
        tree, packed = self.directory / lock.sha256, self.directory / f"{uuid.uuid4()}.tar.zst"
        cached = tree.exists()
        self._install(lock, tree)
        layer = pack(Stop(), tree, PurePosixPath("/opt/so1s/dependencies"), packed)
        cached = cached and await self.images.has(layer)
        await self.images.add(layer, packed)
        log(f"empty dependencies of {lock.name}")
        return Dependencies(lock, layer, tree, cached=cached)

    async def install(self, lock: Lock, log: Log) -> Tools:
        log(f"tools of {lock.name}")
        self._install(lock, self.directory / lock.sha256)
        return Tools(lock, self.directory / lock.sha256)

    def _install(self, lock: Lock, tree: Path) -> None:
        if tree.exists():
            return
        self._require_index(f"the libraries of {lock.name} cannot be installed")
        tree.mkdir(parents=True)
        for name, _version in lock.hashes:
            (tree / f"{name}.py").touch()

    def _version(self, name: str, allowed: SpecifierSet, base: Lock) -> str:
        tested = dict(base.hashes.keys()).get(name)
        named = [tested or "1.0", *(each.version for each in allowed)]
        known = named if self.index is None else self.index.get(name, [])
        fit = [each for each in known if allowed.contains(each)]
        if not fit:
            raise BuildError("dependencies", f"requirements.txt cannot be satisfied: {name}{allowed}")
        return tested if tested in fit else fit[-1]

    def _with_torch_on_cpu(self, lock: Lock) -> Lock:
        versions = dict(lock.hashes.keys())
        if "torch" not in versions or not self.torch_is_on_cpu:
            return lock
        self._require_index(f"{lock.name} cannot be resolved")
        return locked(versions | {"torch": f"{versions['torch']}+cpu"}, f"{lock.name} for the CPU")

    def _require_index(self, problem: str) -> None:
        if self.is_away:
            raise TemporaryError(f"{problem} now: cannot connect")


def locked(versions: Mapping[str, str], name: str) -> Lock:
    """A lock of packages in these versions."""
    lines = (
        f"{package}=={version} \\\n    --hash=sha256:{sha256(f'{package}=={version}'.encode()).hexdigest()}\n"
        for package, version in sorted(versions.items())
    )
    return Lock(name, "".join(lines))


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

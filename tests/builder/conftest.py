"""Real models, a world in which a worker builds, and a registry that fails when it is told to."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from textwrap import indent

import httpx
import numpy as np
import pytest
import skops.io
from pydantic import SecretStr
from sklearn.linear_model import LogisticRegression

from services.builder import logs
from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.bubblewrap import Bubblewrap
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.inspector_process import Bounds, ProcessInspector
from services.builder.disk import Disk
from services.builder.domain.archive import Limits
from services.builder.domain.compilation import Compilation
from services.builder.domain.failure import BuildError
from services.builder.domain.image import Layer
from services.builder.domain.lock import Lock
from services.builder.handlers import consumer
from services.builder.layers import pack
from services.builder.ports import Dependencies, Log, Tools
from services.builder.runtime import stage
from services.builder.settings import Settings
from services.builder.steps import World
from services.builder.stop import Stop
from services.builder.store import list_builds
from services.builder.worker import Terms, Worker, Workers
from so1s.events import Artifact, BuildFailed, Event, ImageBuilt, ModelUploaded, Signature, Tensor
from so1s.events.codec import decode
from so1s.events.envelope import Received, Record
from so1s.events.event import event_class
from so1s.events.model import Format
from so1s.registry import Session
from so1s.registry import client as client_module
from so1s.requirements import Requirements
from so1s.store import Store
from so1s.testing import run
from tests.builder.fake_registry import URL, FakeRegistry

ROWS = np.random.default_rng(7).normal(size=(60, 4))
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


@pytest.fixture(scope="session")
def estimator() -> LogisticRegression:
    return LogisticRegression().fit(ROWS, (ROWS[:, 0] > 0).astype(int))


@pytest.fixture(scope="session")
def skops_model(estimator) -> bytes:
    return skops.io.dumps(estimator)


@pytest.fixture(scope="session")
def onnx_model(estimator) -> bytes:
    from skl2onnx import to_onnx

    rows = ROWS[:1].astype(np.float32)
    return to_onnx(estimator, rows, options={"zipmap": False}).SerializeToString()


@pytest.fixture(scope="session")
def runtime(tmp_path_factory) -> Path:
    return stage(tmp_path_factory.mktemp("runtime"), Path(sys.executable))


@pytest.fixture
async def store(tmp_path, request) -> AsyncIterator[Store]:
    """On SQLite; on PostgreSQL where a test is parametrised so."""
    if getattr(request, "param", "sqlite") == "sqlite":
        store = Store(f"sqlite+aiosqlite:///{tmp_path}/builder.db", producer="builder")
    else:
        url, schema = request.getfixturevalue("postgres"), f"builder_{uuid.uuid4().hex}"
        store = Store(url, producer="builder", schema=schema)
    await store.migrate("services.builder.migrations")
    yield store
    await store.close()


@dataclass
class EmptyDependencies:
    """A dependency source whose layer is empty, so that a build takes milliseconds."""

    images: LayoutImages
    directory: Path
    platform: str = "linux-x86_64-cp311"

    async def lock(self, asked: Requirements, needed: Sequence[str], base: Lock, log: Log) -> Lock:
        log(f"locked on {base.name}: {', '.join(asked.packages)}; {', '.join(needed)}")
        return Lock("requirements.txt", "\n".join(asked.packages))

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
    compiled: Compilation | None = COMPILED

    async def warm(self, _dependencies: Dependencies) -> None: ...

    async def signature(self, _file: Path, _format: Format, _dependencies: Dependencies) -> Signature:
        self.entered.set()
        if self.hold:
            await self.go_on.wait()
        if self.error:
            raise self.error
        return FOUND

    async def check(self, directory: Path, _dependencies: Dependencies) -> None:
        self.checked.append(directory)

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


@pytest.fixture
async def shop(tmp_path, store, runtime) -> Shop:
    images = LayoutImages(tmp_path / "images")
    inspector = HeldInspector()
    world = World(
        artifacts={"file": FileArtifacts()},
        dependencies=EmptyDependencies(images, tmp_path / "dependencies"),
        inspector=inspector,
        images=images,
        runtime=runtime,
        prefixes=[f"file://{tmp_path}/artifacts/{{account}}/"],
        limits=Limits(artifact_bytes=10**8, unpacked_bytes=10**8, files=100, ratio=50),
        disk=Disk([tmp_path], tmp_path / "builder/work", [images], budget_bytes=None, in_use_seconds=60),
    )
    return Shop(store, tmp_path, inspector, world)


@pytest.fixture
def kafka(own_kafka):
    return own_kafka


@pytest.fixture
def fake() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def session(fake, monkeypatch) -> AsyncIterator[Session]:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(client_module, "_CHUNK_BYTES", 10)
    async with httpx.AsyncClient(transport=httpx.MockTransport(fake), base_url=URL) as client:
        yield Session(client)


@pytest.fixture
def make_inspector(tmp_path) -> Iterator[Callable[..., ProcessInspector]]:
    """Makes inspectors whose runtime's check does what a test says; `STARTED` tells its warm process."""
    made = []

    def make(
        sandbox: Bubblewrap | None, check: str, *, most_warm: int = 8, **bounds: float
    ) -> ProcessInspector:
        package = tmp_path / "runtime/so1s_runtime"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        started = "import os\nSTARTED = os.urandom(4).hex()\n"
        (package / "check.py").write_text(f"{started}def main(arguments):\n" + indent(check, "    "))
        inspector = ProcessInspector(
            directory=tmp_path / "inspector",
            python=Path(sys._base_executable),
            runtime=tmp_path / "runtime",
            bounds=Bounds(**{"seconds": 20, "memory_mib": 4096, **bounds}),
            sandbox=sandbox,
            most_warm=most_warm,
        )
        made.append(inspector)
        return inspector

    yield make
    for each in made:
        each.close()


@pytest.fixture
def dependencies(tmp_path) -> Dependencies:
    """A library, and beside it a model: the file `m` and the directory `model`."""
    (tmp_path / "m").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/library.py").write_text("ANSWER = 42")
    return Dependencies(Lock("onnx", ""), Layer("sha256:", "sha256:", 0), tmp_path / "site", cached=True)

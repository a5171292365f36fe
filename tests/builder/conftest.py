"""Real models, a world in which a worker builds, and a registry that fails when it is told to."""

import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from textwrap import indent

import httpx
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.bubblewrap import Bubblewrap
from services.builder.adapters.images_layout import LayoutImages
from services.builder.adapters.inspector_process import Bounds, ProcessInspector
from services.builder.attestor import Attestor
from services.builder.disk import Disk
from services.builder.domain.archive import Limits
from services.builder.domain.image import Layer
from services.builder.domain.lock import Lock
from services.builder.ports import Dependencies
from services.builder.runtime import stage
from services.builder.steps import World
from so1s.registry import Session
from so1s.registry import client as client_module
from so1s.store import Store
from tests.builder.fake_registry import URL, FakeRegistry
from tests.builder.shop import EmptyDependencies, HeldInspector, Shop
from tests.tables import make_tables

ROWS = np.random.default_rng(7).normal(size=(60, 4))


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
    await make_tables(store, "services.builder.migrations")
    yield store
    await store.close()


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
        attestor=Attestor(None, "https://builder.example"),
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
    """A library, and beside it a model: the directory `model` with the file `m`."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/m").touch()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/library.py").write_text("ANSWER = 42")
    return Dependencies(Lock("onnx", ""), Layer("sha256:", "sha256:", 0), tmp_path / "site", cached=True)

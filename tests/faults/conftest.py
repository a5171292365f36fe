"""One platform for all faults; each has a model of its own."""

import itertools
from collections.abc import Iterator

import pytest

from so1s_local import process
from tests.faults.victims import CrashingPlan, Victims
from tests.scenarios.running import Running

WEIGHTS_SECONDS = 8


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults/" in item.nodeid:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Victims]:
    """A platform with windows of a second, its router on PostgreSQL; it must leave no process behind."""
    router = {
        "database_url": postgres,
        "database_schema": "router",
        "weights_deadline_seconds": WEIGHTS_SECONDS,
    }
    services = {name: router if name == "router" else {} for name in Running.services()}
    running = Victims(tmp_path_factory.mktemp("platform"), CrashingPlan, services=services)
    with pytest.MonkeyPatch.context() as impatient:
        # A part that dies in each test would be started after 10 s by and by.
        impatient.setattr(process, "_YOUNG_SECONDS", 1.0)
        try:
            running.start()
            yield running
            running.stop()
            assert running.processes() == []
        finally:
            running.close()


_numbers = itertools.count(1)


@pytest.fixture
def name() -> str:
    """A name that nothing has had before."""
    return f"m{next(_numbers):02d}"


@pytest.fixture
def model(platform: Victims, name: str) -> Iterator[str]:
    """The name of a model of its own; its endpoint and its deployment are removed afterwards."""
    yield name
    platform.remove(name)

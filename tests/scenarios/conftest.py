"""One platform for all scenarios; each has models of its own."""

from collections.abc import Iterator

import pytest

from tests.scenarios.running import Running


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform with windows of a second; it must leave no process behind."""
    running = Running(tmp_path_factory.mktemp("platform"))
    try:
        running.start()
        yield running
        running.stop()
        assert running.processes() == []
    finally:
        running.close()

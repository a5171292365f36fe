"""The lab's parts, each started once for the session when a test first asks for it."""

import os
from collections.abc import Callable, Iterator

import pytest

from so1s_lab import LAB_DIR
from so1s_lab.part import MissingPartError, Part
from so1s_lab.runner import Runner
from tests.lab.parts import (  # noqa: F401 - fixtures
    kafka,
    kafka_part,
    postgres,
    postgres_part,
    prometheus,
    registry,
    s3,
    tls_registry,
)

REQUIRED = os.environ.get("SO1S_LAB_REQUIRED") == "1"
"""Where set, a part that cannot run fails the tests that need it; elsewhere they are skipped."""

Start = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/lab/" in item.nodeid:
            item.add_marker("lab")


@pytest.fixture(scope="session")
def lab() -> Iterator[Runner]:
    """The run that all parts of this session belong to."""
    with Runner(LAB_DIR / "run" / f"tests-{os.getpid()}") as runner:
        yield runner


@pytest.fixture(scope="session")
def start(lab: Runner) -> Start:
    """Starts parts together: `start(etcd)`; skips the test, with the reason, where one cannot run here."""

    def start_or_skip(*parts: Part) -> None:
        try:
            lab.start(*parts)
        except MissingPartError as missing:
            (pytest.fail if REQUIRED else pytest.skip)(str(missing))

    return start_or_skip

"""The supervisor is killed: the next `up` goes on with the same state, and nothing is left behind."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.audit import assert_sound
from tests.faults.victims import Victims
from tests.scenarios.running import until

READY_SECONDS = 60


@pytest.fixture
def stopped(platform: Victims) -> Iterator[Victims]:
    """The platform's state, without a supervisor."""
    platform.stop()
    assert platform.processes() == []
    yield platform
    platform.start()


def test_the_next_supervisor_takes_over_what_a_killed_one_left(platform: Victims, model: str, request):
    serving = platform.serve(model)
    stopped = request.getfixturevalue("stopped")
    with _up(stopped) as first:
        until(lambda: _answers(stopped, serving.url))
        parts, announced = _parts(stopped), stopped.announced()
        first.kill()
        first.wait()
        with _up(stopped) as second:
            assert stopped.announced() == announced
            until(lambda: _answers(stopped, serving.url))
            assert _parts(stopped) == parts
            assert_sound(stopped, model)
            stopped.serve(model, 2)
            assert_sound(stopped, model, version=2)
            second.terminate()
            assert second.wait(READY_SECONDS) == 0
    assert stopped.processes() == []


@contextmanager
def _up(platform: Victims) -> Iterator[subprocess.Popen]:
    """`make up` on the platform's state."""
    config = platform.state.parent / "local.toml"
    config.write_text(_toml(platform.settings.model_dump()))
    command = [
        sys.executable,
        "-m",
        "so1s_local",
        "up",
        "--state",
        str(platform.state),
        "--config",
        str(config),
    ]
    said = platform.state.parent / "up.log"
    with said.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: "So1s is up" in said.read_text(), READY_SECONDS)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_SECONDS)


def _toml(settings: dict) -> str:
    services = settings.pop("services")
    ports = settings.pop("ports")
    tables = {"": settings, "[ports]": ports} | {
        f"[services.{name}]": said for name, said in services.items()
    }
    return "\n".join(line for title, said in tables.items() for line in (title, *_lines(said)))


def _lines(said: dict) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in said.items()]


def _answers(platform: Victims, url: str) -> bool:
    return platform.ask(url).is_success


def _parts(platform: Victims) -> Counter[str]:
    """How many processes there are of each kind, without those that the builder starts when it likes."""
    commands = [" ".join(process.cmdline()[:3]) for process in platform.processes()]
    return Counter(each for each in commands if " -S -s" not in each and "bwrap " not in each)

"""What services lean on is away for longer than all their retries: they wait, and lose nothing."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import so1s
from so1s.events import BuildFailed, DeploymentReady, DeploymentScaleRequested, Scaling, UsageSampled
from tests.faults.audit import assert_sound, everything_is_told
from tests.faults.victims import Victims
from tests.scenarios.running import ACCOUNT, until

AWAY_SECONDS = 33
"""A writer waits 30 s for SQLite, and five attempts at PostgreSQL take 3 s."""
SERVE_SECONDS = 120
"""The last wait before a service tries again is 30 s."""


def test_databases_are_away(platform: Victims, model: str, postgres_server: Any):
    """Every service gets an event that it cannot record: databases are locked, the router's is gone."""
    later, letters = f"{model}-later", platform.letters()
    with ExitStack() as away:
        away.enter_context(_killed(postgres_server))
        away.enter_context(_locked(platform, "billing", "alerter"))
        first = platform.publish(model)
        until(lambda: platform.records(DeploymentReady, about=model))
        until(lambda: platform.records(UsageSampled, about=model))
        away.enter_context(_locked(platform, "builder", "deployer", "collector"))
        second = platform.publish(later)
        platform.say(
            DeploymentScaleRequested(
                account=ACCOUNT, deployment=model, scaling=Scaling(), requested_by="user:ada"
            )
        )
        time.sleep(AWAY_SECONDS)
    for published in (first, second):
        published.wait_until_serving(SERVE_SECONDS)
        assert_sound(platform, published.event.model)
    assert platform.letters() == letters
    platform.remove(later)


def test_slack_is_away_and_one_message_is_posted_in_the_end(platform: Victims, tmp_path: Path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    _fail(platform, down=True)
    published = platform.publish("unheard", path=path)
    with pytest.raises(so1s.BuildFailed):
        published.wait_until_serving(SERVE_SECONDS)
    until(lambda: platform.records(BuildFailed, about="unheard") and platform.unhandled("alerter") == 0)
    until(lambda: not everything_is_told(platform))
    _fail(platform, down=False, rate_limited=1, answers_lost=1)
    until(lambda: everything_is_told(platform), 60)
    assert len(platform.messages("unheard")) == 1


def _fail(platform: Victims, **faults: object) -> None:
    platform.http.post(f"{platform.at.slack}/faults", json=faults).raise_for_status()


@contextmanager
def _locked(platform: Victims, *services: str) -> Iterator[None]:
    """Hold SQLite databases, as another process would."""
    with ExitStack() as held:
        for service in services:
            path = platform.state / "db" / f"{service}.db"
            other = held.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=30)))
            other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _killed(server: Any) -> Iterator[None]:
    """Let PostgreSQL be gone."""
    postmaster = psutil.Process(server.get_pid())
    postmaster.send_signal(signal.SIGQUIT)  # ends its children, too; no checkpoint is made
    postmaster.wait(30)
    try:
        yield
    finally:
        server.ensure_postgres_running()

"""A collector without a cluster: the world and its counters are given, the store is real."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.collector.domain.world import Gateway
from services.collector.scraper import Scraper
from services.collector.watchers import Sampler
from so1s.events import Event, UsageSampled
from so1s.events.codec import decode
from so1s.events.envelope import Received
from so1s.events.event import event_class
from so1s.store import Store
from so1s.store.tables import outbox
from tests.collector.cluster import (
    START_MS,
    WINDOW_SECONDS,
    FakeCluster,
    FakeGateway,
    FakeProcesses,
    FakeWorld,
)
from tests.tables import make_tables


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A migrated store: SQLite, or PostgreSQL where a test is parametrized with it."""
    url, schema = f"sqlite+aiosqlite:///{tmp_path}/collector.db", None
    if getattr(request, "param", "sqlite") == "postgresql":
        url, schema = request.getfixturevalue("postgres"), f"collector_{uuid.uuid4().hex}"
    opened = Store(url, producer="collector", schema=schema)
    await make_tables(opened, "services.collector.migrations")
    yield opened
    await opened.close()


@pytest.fixture
def new_sampler(store: Store, cluster: FakeCluster) -> Callable[[], Sampler]:
    """Makes a collector that has just started."""

    def make(window_seconds: int = WINDOW_SECONDS) -> Sampler:
        return Sampler(
            store=store,
            world=FakeWorld(cluster),
            scraper=Scraper(FakeGateway(cluster), FakeProcesses(cluster)),
            gateway=Gateway("so1s", "envoy"),
            window_seconds=window_seconds,
            now_ms=lambda: cluster.now_ms,
        )

    return make


@pytest.fixture
def said(store: Store) -> Callable[..., Any]:
    """Answers the events of a class that were said so far, in order."""

    async def read(kind: type[Event]) -> list[Received]:
        async with store.read() as connection:
            rows = (await connection.execute(select(outbox).order_by(outbox.c.position))).all()
        received = []
        for row in rows:
            headers = [(name, value.encode()) for name, value in json.loads(row.headers)]
            if event_class(dict(headers)["ce_type"].decode()) is kind:
                received.append(decode(kind, headers, row.value))
        return received

    return read


@pytest.fixture
def watch(cluster):
    """Moves the clock on and lets a collector look, once a second, or at the given seconds only."""

    async def until(sampler, second, *, looks_at=None):
        first = (cluster.now_ms - START_MS) // 1000 + 1
        for at in looks_at or range(first, second + 1):
            cluster.now_ms = START_MS + at * 1000
            await sampler.look()

    return until


@pytest.fixture
def usage(said):
    """The quantities and qualities said of a replica, by the second at which the window starts."""

    async def read(replica):
        return {
            (int(each.event.window_start.timestamp() * 1000) - START_MS) // 1000: each.event
            for each in await said(UsageSampled)
            if each.event.replica == replica
        }

    return read


@pytest.fixture
def kafka(own_kafka):
    return own_kafka

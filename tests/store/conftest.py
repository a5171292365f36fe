"""Stores on both databases, which all tests here must see alike."""

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from so1s.events import Event
from so1s.store import Store
from tests.tables import make_tables


class Greeted(Event, key=("account", "name"), prefix="test-store"):
    """Somebody was greeted."""

    name: str
    text: str = "hello"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Wire:
    """A sender that keeps what it was given, and may be broken."""

    def __init__(self) -> None:
        self.records = []
        self.broken = False

    async def send(self, records):
        self.records += records
        if self.broken:
            raise ConnectionError("after the records left")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def greeted() -> type[Greeted]:
    return Greeted


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path, clock) -> Callable[[], Store]:
    """Opens one database, as often as there are replicas."""
    if request.param == "sqlite":
        return lambda: Store(f"sqlite+aiosqlite:///{tmp_path}/store.db", producer="tester", clock=clock)
    url, schema = request.getfixturevalue("postgres"), f"test_{uuid.uuid4().hex}"
    return lambda: Store(url, producer="tester", schema=schema, clock=clock)


@pytest.fixture
async def open_store(database) -> AsyncIterator[Callable[[], Store]]:
    opened = []

    def one_more() -> Store:
        opened.append(database())
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store) -> Store:
    store = open_store()
    await make_tables(store)
    return store

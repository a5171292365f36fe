"""Billing on a real store, without a broker."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.billing.domain.prices import PriceBook
from services.billing.handlers import charge
from so1s.events.envelope import Received
from so1s.store import Store
from tests.billing.usage import PRICES
from tests.tables import make_tables

Deliver = Callable[..., Awaitable[None]]


@pytest.fixture
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A migrated store: SQLite, or PostgreSQL where a test is parametrized with it."""
    url, schema = f"sqlite+aiosqlite:///{tmp_path}/billing.db", None
    if getattr(request, "param", "sqlite") == "postgresql":
        url, schema = request.getfixturevalue("postgres"), f"billing_{uuid.uuid4().hex}"
    opened = Store(url, producer="billing", schema=schema)
    await make_tables(opened, "services.billing.migrations")
    yield opened
    await opened.close()


@pytest.fixture
def deliver(store: Store) -> Deliver:
    """Takes one batch to the handler."""

    async def give(*batch: Received, prices: PriceBook = PRICES) -> None:
        async with store.transaction() as tx:
            await charge(list(batch), tx, prices)

    return give


@pytest.fixture
def kafka(own_kafka):
    return own_kafka

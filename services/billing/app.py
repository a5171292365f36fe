"""The composition root: settings → price book, store, handlers, API → service."""

from __future__ import annotations

from services.billing import api
from services.billing.adapters import price_book_toml
from services.billing.domain.bill import DIMENSIONS, Days
from services.billing.handlers import consumer
from services.billing.rebuild import audit
from services.billing.settings import Settings
from services.billing.store import archived_accounts
from so1s.service import Service
from so1s.store import Store


def build(settings: Settings) -> Service:
    """Put billing together.

    Raises:
        InvalidInput: the price book is wrong; it names every problem.
        OSError: the price book cannot be read.
    """
    prices = price_book_toml.load(settings.price_book)
    consumer.provide(prices)
    store = _store(settings)
    return Service(
        "billing",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.billing.migrations",
        routes=api.routes(store, prices),
    )


async def rebuild(settings: Settings) -> int:
    """Compute every account's bill from the archived events, and print it beside the ledger's.

    Returns:
        The exit code: 0 where both are equal to the last nano-USD.
    """
    prices = price_book_toml.load(settings.price_book)
    store = _store(settings)
    audits = {}
    try:
        async with store.read() as connection:
            accounts = await archived_accounts(connection)
        for account in accounts:
            async with store.snapshot() as connection:
                audits[account] = await audit(connection, prices, account, DIMENSIONS, Days())
    finally:
        await store.close()
    for account, found in audits.items():
        print(f"{account}  {found}")  # noqa: T201 - a command's output
    return int(any(found.differences for found in audits.values()))


def _store(settings: Settings) -> Store:
    return Store(
        settings.database_url.get_secret_value(), producer="billing", schema=settings.database_schema
    )

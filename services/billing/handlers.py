"""Usage → ledger and archive, one transaction a batch."""

from __future__ import annotations

from collections.abc import Sequence

from services.billing.domain.ledger import Entry, entry
from services.billing.domain.prices import PriceBook, added
from services.billing.domain.windows import figures, joined, window_key
from services.billing.metrics import BOOKED, NOTHING_NEW
from services.billing.store import (
    add_prices,
    billed_until,
    book,
    keep,
    known_figures,
    known_prices,
    save_figures,
)
from so1s.errors import TemporaryError
from so1s.events import UsageCorrected, UsageSampled
from so1s.events.envelope import Received
from so1s.events.structured import written
from so1s.service import Consumer
from so1s.store import Transaction

consumer = Consumer("billing")


@consumer.on(UsageSampled, batch=True)
async def charge(samples: list[Received[UsageSampled]], tx: Transaction, prices: PriceBook) -> None:
    """Charge each window once."""
    await _account_for(samples, tx, prices)


@consumer.on(UsageCorrected, batch=True)
async def correct(samples: list[Received[UsageCorrected]], tx: Transaction, prices: PriceBook) -> None:
    """Book the difference that better figures make."""
    await _account_for(samples, tx, prices)


async def _account_for(samples: Sequence[Received[UsageSampled]], tx: Transaction, prices: PriceBook) -> None:
    await _stand_by_prices(tx, prices)
    named = [(window_key(received.event), received) for received in samples]
    before = await known_figures(tx, {window for window, _ in named})
    after = dict(before)
    booked: list[tuple[str, Entry]] = []
    for window, received in named:
        known = after.get(window, {})
        after[window] = joined(known, figures(received))
        if made := entry(received, known, after[window], prices):
            booked.append((window, made))
    await save_figures(tx, before, after)
    await book(tx, booked)
    await keep(tx, [(received.event.account, written(received)) for received in samples])
    BOOKED.inc(len(booked))
    NOTHING_NEW.inc(len(samples) - len(booked))


async def _stand_by_prices(tx: Transaction, prices: PriceBook) -> None:
    """Take new prices up; wait where the price book would change what was billed, until it is mended."""
    known = await known_prices(tx.connection)
    if known == {(price.meter, price.valid_from): price.nano_usd for price in prices.prices}:
        return
    try:
        await add_prices(tx, added(prices, known, await billed_until(tx)))
    except ValueError as error:
        raise TemporaryError(f"nothing is charged until the price book is mended: {error}") from error

import asyncio
import uuid
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from services.billing.domain.bill import DIMENSIONS, Days
from services.billing.domain.prices import Price, PriceBook
from services.billing.handlers import charge
from services.billing.rebuild import audit
from services.billing.store import archive, bill_totals, entries, postings, windows
from so1s.errors import TemporaryError
from so1s.store import Store
from tests.billing.usage import DAY, PRICES, corrected, histories, received, sampled
from tests.tables import make_tables

ALWAYS = Days()
both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


async def audited(store, account="risk"):
    async with store.snapshot() as connection:
        return await audit(connection, PRICES, account, DIMENSIONS, ALWAYS)


async def count(store, table):
    async with store.read() as connection:
        return len((await connection.execute(select(table))).all())


@both
async def test_a_batch_is_charged_and_archived(store, deliver):
    windows_of_a_minute = [
        received(sampled(window_start=DAY + timedelta(seconds=5 * number)), f"e{number}")
        for number in range(12)
    ]
    await deliver(*windows_of_a_minute)
    async with store.read() as connection:
        (total,) = await bill_totals(connection, ALWAYS)
    assert (total.group, total.amount_nano_usd) == (("risk",), 12 * (27_778 + 3_472))
    assert await count(store, archive) == 12


@both
async def test_the_archive_alone_yields_the_same_bill(store, deliver):
    await deliver(received(sampled()), received(sampled(quantities={"cpu_reserved": 1}), "another id"))
    await deliver(corrected({"cpu_reserved": 7}), received(sampled(account="shop"), "e2"))
    found = await audited(store)
    assert found.recomputed
    assert found.ledger == found.recomputed


async def test_a_bill_of_some_days_is_recomputed_for_those(store, deliver):
    next_day = sampled(window_start=DAY + timedelta(days=1))
    await deliver(received(sampled()), received(next_day, "e2"))
    async with store.snapshot() as connection:
        found = await audit(connection, PRICES, "risk", DIMENSIONS, Days(DAY.date(), DAY.date()))
    assert found.ledger == found.recomputed
    assert sum(line.amount_nano_usd for line in found.ledger) == 27_778 + 3_472


async def test_the_archive_is_read_to_its_end(store, deliver, monkeypatch):
    monkeypatch.setattr("services.billing.store._PAGE", 2)
    for number in range(5):
        await deliver(received(sampled(replica=f"u{number}"), f"e{number}"))
    found = await audited(store)
    assert found.ledger == found.recomputed


@both
async def test_a_window_that_two_batches_tell_of_is_charged_once(store, deliver):
    await deliver(received(sampled()))
    await deliver(received(sampled(), "another id"))
    assert await count(store, entries) == 1
    assert await count(store, windows) == 1


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A store for many examples, and what runs coroutines on it."""
    store = Store(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('billing')}/billing.db", producer="billing")
    with asyncio.Runner() as runner:
        runner.run(make_tables(store, "services.billing.migrations"))
        yield store, runner.run
        runner.run(store.close())
    asyncio.set_event_loop(None)


@settings(max_examples=30, deadline=None)
@given(history=histories(), cut=st.integers(0, 10))
def test_ledger_and_archive_agree_after_batches_of_any_size(ledger, history, cut):
    store, run = ledger
    salt = uuid.uuid4().hex  # each example has replicas of its own
    history = [_of_replica(each, f"{salt}-{each.event.replica}") for each in history]
    run(_charge(store, history[:cut]))
    run(_charge(store, history[cut:]))
    run(_charge(store, history))
    for account in ("risk", "shop"):
        found = run(audited(store, account))
        assert found.ledger == found.recomputed


def _of_replica(each, replica):
    return replace(each, id=f"{replica}-{each.id}", event=each.event.model_copy(update={"replica": replica}))


async def _charge(store, batch):
    if batch:
        async with store.transaction() as tx:
            await charge(batch, tx, PRICES)


@both
@pytest.mark.parametrize("table", [entries, postings, archive], ids=str)
@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_what_is_booked_cannot_be_changed(store, deliver, table, verb):
    await deliver(received(sampled()))
    column = next(iter(table.c))
    statement = delete(table) if verb == "delete" else update(table).values({column.name: column})
    with pytest.raises(DBAPIError, match="is written once"):
        async with store.transaction() as tx:
            await tx.execute(statement)


async def test_a_price_book_that_changes_what_was_billed_stops_charging(store, deliver):
    await deliver(received(sampled()))
    cheaper = Price(meter="requests", per="million requests", nano_usd=1, valid_from=date(2026, 1, 1))
    others = [price for price in PRICES.prices if price.meter != "requests"]
    edited = PriceBook([*others, cheaper])
    with pytest.raises(TemporaryError, match="the price of requests from 2026-01-01"):
        await deliver(received(sampled(), "e2"), prices=edited)


@both
async def test_a_new_price_applies_to_the_days_from_it_on(store, deliver):
    await deliver(received(sampled()))
    tomorrow = date(2026, 11, 26)
    raised = Price(meter="requests", per="million requests", nano_usd=10**9, valid_from=tomorrow)
    book = PriceBook([*PRICES.prices, raised])
    for number in (1, 2):
        event = sampled(
            quantities={"requests": 1000}, window_start=DAY + timedelta(days=number), replica="gateway"
        )
        await deliver(received(event, f"r{number}"), prices=book)
    async with store.read() as connection:
        first = await bill_totals(connection, Days(date(2026, 11, 25), date(2026, 11, 25)))
        second = await bill_totals(connection, Days(tomorrow, tomorrow))
    assert (first[0].amount_nano_usd, second[0].amount_nano_usd) == (200_000, 1_000_000)

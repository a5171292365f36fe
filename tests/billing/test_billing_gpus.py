"""The use of GPUs on a bill: reported, and billed where an operator prices it."""

from datetime import date, timedelta

import pytest
from sqlalchemy import insert

from services.billing.domain.bill import Days, Line, row
from services.billing.domain.prices import Price, PriceBook
from services.billing.domain.windows import figures
from services.billing.rebuild import audit
from services.billing.store import bill_lines, postings
from so1s.errors import InvalidInput
from so1s.events import UsageCorrected
from tests.billing.usage import DAY, PRICES, received, sampled

HALF_AN_HOUR = 1_800_000
BY = ("resource",)
both = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


def used(event_id="e1", *, day=0, **changes):
    busy = {"quantities": {"gpu_reserved": 3_600_000}, "gpu_used": HALF_AN_HOUR, "window_seconds": 3600}
    return received(sampled(window_start=DAY + timedelta(days=day), **(busy | changes)), event_id)


@pytest.fixture
def bill(store):
    async def read():
        async with store.read() as connection:
            return {line.group[0]: line for line in await bill_lines(connection, "risk", BY, Days())}

    return read


@pytest.fixture
def differences(store):
    """Between the ledger and what the archive alone says."""

    async def find(prices=PRICES):
        async with store.snapshot() as connection:
            return (await audit(connection, prices, "risk", BY, Days())).differences

    return find


@both
async def test_the_use_of_gpus_is_reported_in_hours_and_not_billed(bill, deliver, differences):
    await deliver(used())
    assert row((await bill())["gpu_used"], BY) == {
        "resource": "gpu_used",
        "quantity": HALF_AN_HOUR,
        "usage": "0.500000 GPU-hour",
        "amount_nano_usd": 0,
        "amount_usd": "0.000000000",
    }
    assert await differences() == []


@both
async def test_a_price_bills_it_from_its_day_on_and_leaves_the_days_before_alone(bill, deliver, differences):
    await deliver(used())
    tomorrow = date(2026, 11, 25)
    price = Price(meter="gpu_used", per="GPU-hour", nano_usd=400_000_000, valid_from=tomorrow)
    priced = PriceBook([*PRICES.prices, price])
    await deliver(used("e2", replica="u2"), used("e3", day=1), prices=priced)
    assert (await bill())["gpu_used"] == Line(("gpu_used",), 3 * HALF_AN_HOUR, 200_000_000)
    assert await differences(priced) == []


async def test_a_window_in_which_nobody_measured_it_has_no_line_of_it(bill, deliver):
    await deliver(used(gpu_used=None))
    assert set(await bill()) == {"gpu_reserved"}


async def test_a_window_that_is_sampled_twice_uses_gpus_once(bill, deliver):
    await deliver(used(), used("another id", gpu_used=7))
    assert (await bill())["gpu_used"].quantity == HALF_AN_HOUR


async def test_a_correction_of_what_was_reserved_leaves_it_alone(bill, deliver, differences):
    await deliver(used())
    await deliver(used("c1", kind=UsageCorrected, quantities={"gpu_reserved": 1}, gpu_used=None))
    assert {meter: line.quantity for meter, line in (await bill()).items()} == {
        "gpu_reserved": 1,
        "gpu_used": HALF_AN_HOUR,
    }
    assert await differences() == []


def test_use_beyond_all_measure_is_refused_by_its_name():
    with pytest.raises(InvalidInput, match=r"^gpu_used"):
        figures(used(gpu_used=2**62))


async def test_a_meter_that_a_newer_version_booked_is_shown_without_a_unit(bill, deliver, store):
    """Both versions share the ledger while one takes over from the other."""
    await deliver(used())
    async with store.transaction() as tx:
        (entry_id,) = {each.entry_id for each in await tx.execute(postings.select())}
        newer = {"ledger_account": "usage/disk_used", "meter": "disk_used", "quantity": 9}
        await tx.execute(insert(postings), {"entry_id": entry_id, "amount_nano_usd": 0} | newer)
    assert row((await bill())["disk_used"], BY)["usage"] == "9"

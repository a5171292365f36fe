from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.billing.adapters.price_book_toml import load
from services.billing.domain.prices import Price, PriceBook, added
from services.billing.domain.units import UNITS, dollars
from services.billing.settings import Settings
from so1s.errors import InvalidInput
from tests.billing.usage import PRICES

TODAY = date(2026, 11, 24)


def book(nano_usd: int, meter="requests", day=TODAY):
    return PriceBook([Price(meter=meter, per=UNITS[meter].name, nano_usd=nano_usd, valid_from=day)])


@given(st.integers(0, 10**12), st.integers(0, 10**9))
def test_a_charge_is_the_exact_product_rounded_half_up(quantity, nano_usd):
    exact = Fraction(quantity * nano_usd, 1_000_000)
    charged = book(nano_usd).charge("requests", quantity, TODAY)
    assert -Fraction(1, 2) < charged - exact <= Fraction(1, 2)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30), st.integers(0, 10**9))
def test_cutting_usage_into_windows_moves_the_bill_by_half_a_nano_dollar_each_at_most(parts, nano_usd):
    prices = book(nano_usd)
    whole = prices.charge("requests", sum(parts), TODAY)
    cut = sum(prices.charge("requests", part, TODAY) for part in parts)
    assert abs(whole - cut) <= (len(parts) + 1) / 2


@given(st.integers(0, 10**11), st.integers(0, 10**11), st.integers(0, 10**9))
def test_more_usage_never_costs_less(less, more, nano_usd):
    prices = book(nano_usd)
    assert prices.charge("requests", less, TODAY) <= prices.charge("requests", less + more, TODAY)


def test_an_hour_of_a_unit_costs_its_price():
    assert PRICES.charge("cpu_reserved", 1000 * 3_600_000, TODAY) == 40_000_000
    assert PRICES.charge("memory_reserved", 1024 * 3_600_000, TODAY) == 5_000_000


@pytest.mark.parametrize(("days", "nano_usd"), [(-1, 40_000_000), (0, 50_000_000), (400, 50_000_000)])
def test_a_window_is_priced_by_its_own_day(days, nano_usd):
    day = date(2026, 11, 25) + timedelta(days=days)
    assert PRICES.charge("cpu_reserved", 1000 * 3_600_000, day) == nano_usd


def test_a_day_before_all_prices_is_refused_with_the_first_that_is_allowed():
    with pytest.raises(InvalidInput, match="allowed: from 2026-01-01 on"):
        PRICES.charge("requests", 1, date(2025, 12, 31))


def test_a_meter_that_is_billed_from_a_day_on_is_free_before_it():
    later = PriceBook([*PRICES.prices, *book(9, meter="gpu_used").prices])
    hour, before = 3_600_000, TODAY - timedelta(days=1)
    assert [later.charge("gpu_used", hour, day) for day in (before, TODAY)] == [0, 9]
    assert [later.bills("gpu_used", day) for day in (before, TODAY)] == [False, True]


def test_a_charge_beyond_all_measure_is_refused():
    with pytest.raises(InvalidInput, match=r"quantities\.requests"):
        book(10**15).charge("requests", 10**12, TODAY)


def test_a_meter_without_a_price_is_free():
    assert PRICES.charge("cpu_used", 10**12, date(1990, 1, 1)) == 0


def test_two_prices_for_one_day_are_refused():
    with pytest.raises(InvalidInput, match="one price of requests a day"):
        PriceBook([*book(1).prices, *book(2).prices])


def test_the_shipped_price_book_bills_what_is_reserved_and_requests():
    shipped = load(Settings.model_fields["price_book"].default)
    assert {price.meter for price in shipped.prices} == {
        "cpu_reserved",
        "memory_reserved",
        "gpu_reserved",
        "requests",
    }


VALID = {"meter": '"requests"', "per": '"million requests"', "nano_usd": "1", "valid_from": "2026-01-01"}


def one_price(**changes):
    return "[[prices]]\n" + "\n".join(f"{name} = {value}" for name, value in {**VALID, **changes}.items())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prices = [", "allowed: a TOML file"),
        ("[[price]]", "price"),
        (one_price(meter='"disk"'), "meter"),
        (one_price(per='"request"'), "million requests"),
        (one_price(nano_usd="0.5"), "nano_usd"),
        (one_price(nano_usd="-1"), "nano_usd"),
        (one_price(valid_from='"soon"'), "valid_from"),
        (one_price(currency='"EUR"'), "currency"),
    ],
)
def test_a_wrong_price_book_is_refused_with_the_field(tmp_path: Path, text, problem):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=problem):
        load(path)


def test_a_book_warns_of_each_meter_that_is_free_at_first(tmp_path: Path):
    path = tmp_path / "prices.toml"
    later = one_price(meter='"gpu_used"', per='"GPU-hour"', valid_from="2026-10-01")
    dearer = one_price(valid_from="2026-07-01", nano_usd="2")
    path.write_text(f"{one_price()}\n{dearer}\n{later}")
    with capture_logs() as logs:
        load(path)
    assert [(each["log_level"], each["meter"], each["day"]) for each in logs] == [
        ("warning", "gpu_used", "2026-10-01")
    ]


def test_a_later_price_is_taken_up():
    known = {("requests", TODAY): 1}
    later = book(2, day=TODAY + timedelta(days=1)).prices
    assert added(PriceBook([*book(1).prices, *later]), known, billed_until=TODAY) == list(later)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (book(2), "was 1 nano-USD"),
        (PriceBook([]), "a price in force stays"),
        (PriceBook([*book(1).prices, *book(2, meter="gpu_reserved").prices]), "is billed"),
    ],
)
def test_what_was_billed_keeps_its_price(now, reason):
    with pytest.raises(ValueError, match=reason):
        added(now, {("requests", TODAY): 1}, billed_until=TODAY)


@pytest.mark.parametrize(
    ("nano_usd", "text"), [(0, "0.000000000"), (1, "0.000000001"), (-1_500_000_000, "-1.500000000")]
)
def test_dollars_are_exact(nano_usd, text):
    assert dollars(nano_usd) == text


def test_quantities_are_shown_in_the_unit_that_is_priced():
    assert UNITS["cpu_reserved"].shown(1_800_000_000) == "0.500000 vCPU-hour"

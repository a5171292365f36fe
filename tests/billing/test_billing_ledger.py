import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.archive import read
from services.billing.domain.bill import DIMENSIONS, difference, lines
from services.billing.domain.ledger import entry
from services.billing.domain.windows import figures, joined, window_key
from so1s.errors import InvalidInput
from so1s.events.structured import written
from tests.billing.usage import PRICES, corrected, histories, received, sampled


def booked(history):
    """The entries that a history makes, event by event."""
    known, made = {}, []
    for each in history:
        window = window_key(each.event)
        before = known.get(window, {})
        known[window] = joined(before, figures(each))
        made.append(entry(each, before, known[window], PRICES))
    return [each for each in made if each]


def bill(history):
    return lines(booked(history), DIMENSIONS)


def amounts(entries):
    return {posting.ledger_account: posting.amount_nano_usd for each in entries for posting in each.postings}


@given(histories())
def test_every_entry_sums_to_zero(history):
    assert all(sum(posting.amount_nano_usd for posting in each.postings) == 0 for each in booked(history))


@given(histories(), st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_and_redelivery_do_not_change_the_bill(history, chance: random.Random, repeated):
    shuffled = [*history, *chance.choices(history, k=repeated)]
    chance.shuffle(shuffled)
    assert difference(bill(shuffled), bill(history)) == []


@given(histories())
def test_the_bill_is_the_sum_of_what_each_windows_last_word_costs(history):
    last = {}
    for each in history:
        for meter, quantity in each.event.metered.items():
            last[window_key(each.event), meter] = (quantity, each.event.window_start.date())
    expected = sum(PRICES.charge(meter, quantity, day) for (_, meter), (quantity, day) in last.items())
    assert sum(line.amount_nano_usd for line in bill(history)) == expected


@given(histories())
def test_an_archived_event_is_read_back_whole(history):
    assert [read(written(each)) for each in history] == history


def test_what_is_owed_is_what_the_meters_earned():
    made = booked([received(sampled())])
    assert amounts(made) == {
        "receivable/risk": 27_778 + 3_472,
        "revenue/cpu_reserved": -27_778,
        "revenue/memory_reserved": -3_472,
        "usage/cpu_used": 0,
    }


def test_a_correction_books_the_difference():
    made = booked([received(sampled()), corrected({"cpu_reserved": 1_250_000})])
    assert amounts(made[1:]) == {"receivable/risk": -13_889, "revenue/cpu_reserved": 13_889}


def test_a_correction_that_comes_first_is_not_undone_by_the_sample():
    early = [corrected({"cpu_reserved": 1_250_000}), received(sampled())]
    assert bill(early) == bill(early[::-1])
    assert amounts(booked(early)[1:]) == {
        "receivable/risk": 3_472,
        "revenue/memory_reserved": -3_472,
        "usage/cpu_used": 0,
    }


def test_the_later_correction_counts_in_any_order():
    history = [
        received(sampled()),
        corrected({"cpu_reserved": 9}, "c2", second=20),
        corrected({"cpu_reserved": 5}, "c1", second=10),
    ]
    (cpu,) = [line for line in lines(booked(history), ("resource",)) if line.group == ("cpu_reserved",)]
    assert cpu.quantity == 9


def test_a_second_sample_of_a_window_changes_nothing_under_any_id():
    other = sampled(quantities={"cpu_reserved": 1})
    assert len(booked([received(sampled()), received(other, "another id")])) == 1


def test_an_idle_window_makes_no_entry():
    assert booked([received(sampled(replica="gateway", quantities={"requests": 0}))]) == []


def test_a_gap_makes_no_entry():
    assert booked([received(sampled(replica="gateway", quantities={}, quality="gap"))]) == []


def test_a_quantity_beyond_all_measure_is_refused():
    with pytest.raises(InvalidInput, match=r"quantities\.cpu_used"):
        figures(received(sampled(quantities={"cpu_used": 2**62})))

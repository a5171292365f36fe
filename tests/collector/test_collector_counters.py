from hypothesis import given
from hypothesis import strategies as st

from services.collector.domain.counters import Reading, accrue, after, born

steps = st.lists(st.integers(0, 10_000), max_size=20)


@given(st.integers(0, 10_000), steps)
def test_increases_sum_to_what_the_counter_gained(first, gains):
    accrual = after(Reading(0, {"requests": first}))
    value = first
    for second, gain in enumerate(gains, start=1):
        value += gain
        accrual = accrue(accrual, Reading(second * 1000, {"requests": value}))
    assert accrual.increases.get("requests", 0) == sum(gains)
    assert not accrual.reset


@given(steps, st.sets(st.integers(0, 19)))
def test_cutting_at_any_readings_loses_and_invents_nothing(gains, cuts):
    accrual, taken, value = after(born(0)), 0, 0
    for index, gain in enumerate(gains):
        value += gain
        accrual = accrue(accrual, Reading(index, {"requests": value}))
        if index in cuts:
            taken += accrual.increases["requests"]
            accrual = after(accrual.last)
    assert taken + accrual.increases.get("requests", 0) == sum(gains)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1000)), min_size=1, max_size=20))
def test_a_restart_counts_from_zero_and_is_told(runs):
    """Each reading comes from one of several runs of the same program; a run's counter begins at zero."""
    accrual, total, value, current = after(born(0)), 0, 0, None
    for second, (run, gain) in enumerate(runs):
        if run != current:
            value, current = 0, run
        value += gain
        total += gain
        accrual = accrue(accrual, Reading(second, {"cpu": value}, epoch=f"run {run}"))
    assert accrual.increases["cpu"] == total
    assert accrual.reset == (len({run for run, _ in runs}) > 1)


def test_a_counter_that_fell_began_anew():
    before = after(Reading(0, {"requests": 100, "errors": 5}))
    accrual = accrue(before, Reading(1, {"requests": 7, "errors": 5}))
    assert accrual.reset
    assert accrual.increases == {"requests": 7, "errors": 5}


def test_a_counter_that_vanished_began_anew():
    accrual = accrue(after(Reading(0, {"requests": 100})), Reading(1, {}))
    assert accrual.reset
    assert accrual.increases.get("requests", 0) == 0


def test_a_counter_that_appears_began_at_zero():
    accrual = accrue(after(Reading(0, {"requests": 100})), Reading(1, {"requests": 101, "errors": 1}))
    assert not accrual.reset
    assert accrual.increases == {"requests": 1, "errors": 1}


def test_a_gauge_is_summed_over_time():
    accrual = after(born(1000))
    for at_ms, value in ((1500, 10), (2500, 20)):
        accrual = accrue(accrual, Reading(at_ms, {}, {"memory": value}))
    assert accrual.integrals == {"memory": 10 * 500 + 20 * 1000}

import math
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.collector.domain.counters import Reading, accrue, after, born
from services.collector.domain.gauges import Look, Progress, progress
from services.collector.domain.samples import GPU_MICROSECONDS, gpu_used

HELD_MS = 45_000
SCRAPE_MS = 15_000
GPU = "GPU-1"

shares = st.integers(0, 100).map(lambda percent: percent / 100)
histories = st.dictionaries(
    st.sampled_from(["GPU-1", "GPU-2", "GPU-3"]),
    st.dictionaries(st.integers(1, 600_000), shares, max_size=20).map(
        lambda by_time: sorted(by_time.items())
    ),
)
"""What each GPU said of ten minutes, at any times."""


def look(found, since_ms, until_ms, taken=None, gpus=3):
    """Look at GPUs of a replica that began at 0."""
    return progress(found, taken or {}, Look(0, since_ms, until_ms, HELD_MS, gpus))


def walk(moments, known_at):
    """Look at one moment after the other; answers what each look said."""
    said, since_ms, taken = [], 0, {}
    for moment in moments:
        told = look(known_at(moment), since_ms, moment, taken)
        said.append(told)
        since_ms, taken = moment, told.taken_ms
    return said


def total(said):
    return sum(told.microseconds or 0 for told in said)


def scraped(share, first_ms, last_ms):
    return [(at_ms, share) for at_ms in range(first_ms, last_ms + 1, SCRAPE_MS)]


@given(st.lists(st.integers(1, 59), unique=True), st.lists(shares, min_size=40, max_size=40))
def test_cutting_at_any_moments_loses_and_invents_nothing(cuts, busy):
    found = {GPU: [(number * SCRAPE_MS, share) for number, share in enumerate(busy, start=1)]}
    moments = [*sorted(cut * 10_000 for cut in cuts), 600_000]
    exact = sum(Fraction(round(share * 100), 100) * SCRAPE_MS * 1000 for share in busy[1:])
    assert total(walk([600_000], lambda _: found)) == total(walk(moments, lambda _: found)) == exact


@given(histories, st.lists(st.integers(1, 600_000), unique=True))
def test_each_sample_speaks_for_the_time_since_the_one_before_it_and_for_a_while_at_most(found, cuts):
    said = walk([*sorted(cuts), 600_000], lambda _: found)
    assert total(said) == sum(
        round(share * min(at_ms - before_ms, HELD_MS) * 1000)
        for samples in found.values()
        for (before_ms, _), (at_ms, share) in pairwise(samples)
    )


@given(st.data(), histories)
def test_samples_that_come_late_are_taken_once(data, found):
    """At each look some of the newest, or all, are not there yet; at the last look all are."""
    moments = [*range(60_000, 600_000, 60_000)]
    taken, since_ms, microseconds = {}, 0, 0
    for moment in [*moments, 600_000]:
        lag_ms = {gpu: 0 if moment == 600_000 else data.draw(st.integers(0, 200_000)) for gpu in found}
        known = {
            gpu: [each for each in samples if each[0] <= moment - lag_ms[gpu]]
            for gpu, samples in found.items()
        }
        told = look(known, since_ms, moment, taken)
        microseconds += told.microseconds or 0
        taken, since_ms = told.taken_ms, moment
    assert microseconds == total(walk([*moments, 600_000], lambda _: found))


@given(st.integers(0, SCRAPE_MS), shares)
def test_a_gpu_that_is_scraped_twice_over_is_counted_once(offset_ms, share):
    once = {GPU: scraped(share, SCRAPE_MS, 600_000)}
    twice = {GPU: [*once[GPU], *scraped(share, SCRAPE_MS + offset_ms, 600_000)]}
    counted = [total(walk([600_000], lambda _, found=found: found)) for found in (once, twice)]
    assert abs(counted[1] - counted[0]) <= 40  # each sample is rounded to a microsecond


def test_the_first_sample_of_a_gpu_is_charged_to_nobody():
    """It may say what the pod before did: an exporter names the pod that has the GPU when it is asked."""
    first = look({GPU: [(15_000, 1.0)]}, 0, 60_000)
    assert first == Progress(None, {GPU: 15_000}, inexact=False)
    assert look({GPU: [(75_000, 0.5)]}, 60_000, 75_000, {GPU: 60_000}).microseconds == 7_500_000


def test_first_samples_that_come_late_are_taken_and_make_their_window_inexact():
    late = {GPU: scraped(0.5, 15_000, 120_000)}
    assert look(late, 60_000, 120_000) == Progress(105_000 * 500, {GPU: 120_000}, inexact=True)


def test_of_a_gpu_that_is_new_no_sample_of_before_the_first_look_is_taken():
    """Another collector may have taken those, before it was rolled back."""
    told = progress({GPU: scraped(1.0, 15_000, 120_000)}, {}, Look(60_000, 60_000, 120_000, HELD_MS, 1))
    assert told == Progress(45_000_000, {GPU: 120_000}, inexact=False)


def test_gpus_of_one_replica_are_counted_together():
    told = look({"GPU-1": [(15_000, 1.0)], "GPU-2": [(15_000, 0.5)]}, 0, 15_000, {"GPU-1": 0, "GPU-2": 0})
    assert told == Progress(22_500_000, {"GPU-1": 15_000, "GPU-2": 15_000}, inexact=False)


def test_more_gpus_than_a_replica_has_are_some_of_them_twice_and_the_least_used_are_counted():
    """As where one of two jobs that scrape an exporter drops what names a GPU."""
    found = {"GPU-1": scraped(0.75, 0, 60_000), "0": scraped(0.5, 0, 60_000)}
    told = look(found, 0, 60_000, {"GPU-1": 0, "0": 0}, gpus=1)
    assert told == Progress(30_000_000, {"GPU-1": 60_000, "0": 60_000}, inexact=True)
    assert look(found, 0, 60_000, {"GPU-1": 0, "0": 0}, gpus=2).microseconds == 75_000_000


def test_one_sample_speaks_for_a_while_at_most_and_what_is_missing_is_told():
    told = look({GPU: [(10_000, 1.0), (130_000, 1.0)]}, 0, 130_000, {GPU: 0})
    assert told == Progress((10_000 + HELD_MS) * 1000, {GPU: 130_000}, inexact=True)


def test_a_gpu_that_works_no_more_says_zero_and_one_that_is_not_watched_says_nothing():
    assert look({GPU: [(60_000, 0.0)]}, 45_000, 60_000, {GPU: 45_000}).microseconds == 0
    assert look({}, 45_000, 60_000).microseconds is None


def test_a_gpu_that_is_not_watched_any_more_is_told():
    taken_before = {GPU: [(60_000, 1.0)]}
    told = look(taken_before, 60_000, 120_000, {GPU: 60_000})
    assert told == look({}, 60_000, 120_000, {GPU: 60_000}) == Progress(None, {GPU: 60_000}, inexact=True)
    assert not look({}, 60_000, 105_000, {GPU: 60_000}).inexact


def test_a_gpu_that_begins_to_be_watched_lacks_nothing():
    assert look({GPU: [(100_000, 0.5)]}, 0, 110_000) == Progress(None, {GPU: 100_000}, inexact=False)


def test_a_sample_of_a_moment_that_was_looked_at_before_makes_its_window_inexact():
    assert look({GPU: [(55_000, 0.5), (70_000, 0.5)]}, 60_000, 75_000, {GPU: 40_000}).inexact
    assert not look({GPU: [(70_000, 0.5)]}, 60_000, 75_000, {GPU: 55_000}).inexact


def test_what_is_no_share_of_a_gpu_is_no_sample():
    """DCGM says 9223372036854775794 of what it does not know."""
    unknown = [(15_000, 9223372036854775794 / 100), (20_000, math.nan), (25_000, -0.1), (26_000, 1.06)]
    assert look({GPU: unknown}, 0, 30_000) == Progress(None, {}, inexact=False)
    assert look({GPU: [*unknown, (30_000, 1.0)]}, 0, 30_000, {GPU: 0}).microseconds == 30_000_000


def test_a_share_that_is_measured_a_little_too_high_is_all_of_the_gpu():
    assert look({GPU: [(30_000, 1.05)]}, 0, 30_000, {GPU: 0}).microseconds == 30_000_000


def test_what_is_scraped_after_the_moment_is_left_for_the_next_one():
    assert look({GPU: scraped(1.0, 15_000, 90_000)}, 0, 60_000, {GPU: 0}).microseconds == 60_000_000


def test_a_window_in_which_nothing_was_measured_has_no_use_of_gpus_rather_than_none():
    accrual = accrue(after(born(0)), Reading(60_000, {}, integrals={GPU_MICROSECONDS: 1_999_999}))
    assert gpu_used(accrual) == 1999
    assert gpu_used(accrue(after(accrual.last), Reading(120_000, {}))) is None
    assert gpu_used(None) is None


def test_what_several_looks_at_one_window_say_is_added_up():
    accrual = after(born(0))
    for at_ms in (30_000, 60_000):
        accrual = accrue(accrual, Reading(at_ms, {}, integrals={GPU_MICROSECONDS: 5_000_000}))
    assert gpu_used(accrual) == 10_000

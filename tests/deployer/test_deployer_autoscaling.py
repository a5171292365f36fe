"""The autoscaler against Kubernetes' published rules and examples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deployer.domain.autoscaling import (
    Behavior,
    History,
    Limit,
    Metric,
    Sample,
    behavior_for,
    decide,
    recommend,
    replicas_for,
)
from so1s.events import Scaling


def metric(target, *values, name="cpu_percent"):
    return Metric(name, target, tuple(Sample(value) for value in values))


@pytest.mark.parametrize(
    ("current", "average", "expected"),
    [(1, 200, 2), (2, 50, 1), (4, 100, 4), (4, 109, 4), (4, 91, 4), (4, 115, 5), (10, 50, 5), (3, 110, 3)],
    ids=str,
)
def test_the_published_formula(current, average, expected):
    """`desired = ceil(current * metric / target)`, with a tolerance of a tenth; target 100."""
    assert replicas_for(current, metric(100, *[average] * current)) == expected


@given(st.integers(1, 50), st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_the_formula_for_any_figures(current, average, target):
    ratio = average / target
    found = replicas_for(current, metric(target, *[average] * current))
    if abs(ratio - 1) < 0.0999:
        assert found == current
    elif abs(ratio - 1) > 0.1001:
        assert found == pytest.approx(math.ceil(current * ratio), abs=1)


def test_a_replica_without_a_value_counts_as_on_target_on_the_way_down():
    assert replicas_for(3, metric(100, 20, 20, None)) == 2  # (20 + 20 + 100) / 100 = 1.4


def test_a_replica_without_a_value_counts_as_idle_on_the_way_up():
    assert replicas_for(3, metric(100, 200, 200, None)) == 4  # (200 + 200 + 0) / 100


def test_a_replica_that_starts_counts_as_idle_on_the_way_up():
    starting = Sample(None, ready=False)
    scaled = Metric("cpu_percent", 100, (Sample(250), starting, starting))
    assert replicas_for(3, scaled) == 3  # 250 / 3 would turn the direction around


@given(st.lists(st.none() | st.floats(0, 500), min_size=1, max_size=10), st.integers(0, 5))
def test_what_is_not_known_never_turns_the_direction_around(values, starting):
    known = [value for value in values if value is not None]
    samples = (*map(Sample, values), *[Sample(None, ready=False)] * starting)
    current = len(samples)
    found = replicas_for(current, Metric("m", 100, samples))
    if not known:
        assert found is None
    elif sum(known) / len(known) > 100:
        assert found >= current
    else:
        assert found <= current


def test_the_metric_that_asks_for_most_wins():
    low, high = metric(100, 50, 50), metric(10, 20, 20, name="requests_per_second")
    assert recommend(2, [low, high]) == (4, "requests_per_second")


def test_a_metric_that_cannot_be_read_forbids_scaling_down_but_not_up():
    unread = metric(100, None, None, name="latency_p90_ms")
    assert recommend(2, [metric(100, 10, 10), unread])[0] == 2
    assert recommend(2, [metric(100, 300, 300), unread])[0] == 6


def steps(loads, *, bounds=(1, 100), behavior=None, every=15.0):
    """The decided numbers while the total load, in replicas on target, goes as said."""
    current, history, found = bounds[0], History(), []
    for index, load in enumerate(loads):
        decision = decide(
            current,
            bounds,
            [metric(100, *[load * 100 / current] * current)],
            history=history,
            behavior=behavior or Behavior(),
            now=1000.0 + index * every,
        )
        current, history = decision.replicas, decision.history
        found.append(current)
    return found


def test_a_dip_shorter_than_the_window_costs_no_replica():
    assert steps([8, 8, 1, 1, 8])[1:] == [8, 8, 8, 8]


def test_after_the_window_the_number_falls():
    loads = [4] + [1] * 20
    assert steps(loads)[-2:] == [4, 1]  # 300 s at 15 s each


def test_growth_is_bounded_within_a_period():
    assert steps([100, 100, 100, 100, 100]) == [5, 10, 20, 40, 80]
    assert steps([100, 100, 100], every=5.0) == [5, 5, 5]  # all within one period of 15 s


def test_a_peak_shorter_than_the_window_brings_no_replica():
    patient = Behavior(scale_up_window_seconds=60)
    assert steps([2, 2, 9, 9, 9, 2], bounds=(2, 9), behavior=patient) == [2] * 6


def test_the_lowest_recommendation_of_the_window_is_what_comes():
    patient = Behavior(scale_up_window_seconds=40, scale_up=Limit(replicas=100))
    assert steps([1, 5, 3, 9, 9], behavior=patient) == [1, 1, 1, 3, 3]


def test_so_many_come_and_go_within_a_minute():
    asked = Scaling(scale_up_replicas_per_minute=2, scale_down_replicas_per_minute=3)
    slow = behavior_for(asked, Behavior(scale_down_window_seconds=0))
    assert steps([20] * 9, behavior=slow) == [3, 3, 3, 3, 5, 5, 5, 5, 7]
    down = steps([12] * 29 + [1] * 9, behavior=slow)
    assert down[28:] == [11, 8, 8, 8, 8, 5, 5, 5, 5, 2]


def test_what_went_within_the_period_may_come_back_beside_its_limit():
    """A policy bounds the change since the period began: what left in it is not counted against growth."""
    quick = Behavior(scale_down_window_seconds=0, scale_up=Limit(replicas=1, period_seconds=60))
    history = History(moves=((990.0, -4),))
    wanted = [metric(100, *[1000] * 2)]
    assert decide(2, (1, 99), wanted, history=history, behavior=quick, now=1000.0).replicas == 7


def test_what_is_not_said_of_the_speed_is_the_default():
    default = Behavior(scale_down_window_seconds=60)
    assert behavior_for(Scaling(), default) == default
    said = Scaling(scale_up_window_seconds=0, scale_down_window_seconds=0, scale_up_replicas_per_minute=2)
    assert behavior_for(said, default) == Behavior(
        scale_up_window_seconds=0, scale_down_window_seconds=0, scale_up=Limit(2, period_seconds=60)
    )


@given(st.lists(st.floats(0, 300), min_size=1, max_size=30), st.integers(1, 9), st.integers(5, 60))
def test_no_minute_sees_more_replicas_come_than_is_said(loads, most, every):
    asked = behavior_for(Scaling(scale_up_replicas_per_minute=most), Behavior())
    sizes = [1, *steps(sorted(loads), behavior=asked, every=every)]
    decisions = -(-60 // every)  # in a minute
    assert all(after - before <= most for before, after in zip(sizes, sizes[decisions:], strict=False))


@given(st.lists(st.floats(0, 300), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 20))
def test_the_bounds_hold_whatever_the_load(loads, least, more):
    bounds = (least, least + more)
    assert all(bounds[0] <= count <= bounds[1] for count in steps(loads, bounds=bounds))


def test_without_a_target_the_number_is_the_least():
    decision = decide(5, (2, 9), [], history=History(), behavior=Behavior(), now=0.0)
    assert decision.replicas == 2

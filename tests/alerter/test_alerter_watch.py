from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerter.domain.rules import Rule
from services.alerter.domain.watch import Watch, step
from so1s.events import HealthSampled

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAUSE = timedelta(seconds=20)


def rule(**fields):
    return Rule.model_validate({"name": "rule", **fields})


AVAILABILITY = rule(when={"availability_below": 0.95, "for_seconds": 10})


@pytest.fixture
def turns(sample):
    """Steps through windows, given as `(number, fields)`; answers the turns as `(number, kind)`."""

    def turns(rule, *windows):
        watch, found = Watch(), []
        for number, fields in windows:
            watch, turn = step(watch, rule, sample(number, **fields), PAUSE)
            found += [(number, turn.kind)] if turn else []
        return found

    return turns


BAD = {"errors": 50}
GOOD = {}
IDLE = {"requests": 0}
DOWN = {"requests": 0, "replicas_ready": 0}


def test_a_condition_must_hold_for_its_span(turns):
    assert turns(AVAILABILITY, (0, BAD)) == []
    assert turns(AVAILABILITY, (0, BAD), (1, GOOD), (2, BAD)) == []
    assert turns(AVAILABILITY, (0, BAD), (1, BAD)) == [(1, "opened")]


def test_health_must_last_as_long_before_it_ends(turns):
    opened = [(0, BAD), (1, BAD)]
    assert turns(AVAILABILITY, *opened, (2, GOOD), (3, BAD), (4, GOOD)) == [(1, "opened")]
    assert turns(AVAILABILITY, *opened, (2, GOOD), (3, GOOD)) == [(1, "opened"), (3, "resolved")]


def test_how_long_health_must_last_can_be_said(turns):
    patient = AVAILABILITY.model_copy(update={"resolve_after_seconds": 15})
    windows = [(0, BAD), (1, BAD), (2, GOOD), (3, GOOD)]
    assert turns(patient, *windows) == [(1, "opened")]
    assert turns(patient, *windows, (4, GOOD)) == [(1, "opened"), (4, "resolved")]


def test_without_requests_availability_is_unknown(turns):
    assert turns(AVAILABILITY, *((window, IDLE) for window in range(9))) == []


def test_without_requests_and_replicas_it_is_none(turns):
    outage = [(1, DOWN), (2, DOWN), (3, IDLE), (4, IDLE)]
    assert turns(AVAILABILITY, (0, IDLE), *outage) == [(2, "opened"), (4, "resolved")]


def test_a_first_rollout_is_no_outage_however_long_it_takes(turns):
    starting = [(window, DOWN) for window in range(9)]
    assert turns(AVAILABILITY, *starting) == []
    assert turns(AVAILABILITY, *starting, (9, IDLE), (10, DOWN), (11, DOWN)) == [(11, "opened")]


def test_nothing_is_wrong_with_a_deployment_that_shall_have_no_replicas(turns):
    assert turns(AVAILABILITY, *((window, DOWN | {"replicas_desired": 0}) for window in range(9))) == []


def test_a_ready_replica_does_not_refute_failed_requests(turns):
    assert turns(AVAILABILITY, (0, BAD), (1, BAD), (2, IDLE), (3, IDLE), (9, IDLE)) == [(1, "opened")]


def test_failures_of_long_ago_do_not_outweigh_probes(turns):
    outage = [(9, DOWN), (10, DOWN)]
    assert turns(AVAILABILITY, (0, BAD), *outage, (11, IDLE), (12, IDLE)) == [
        (10, "opened"),
        (12, "resolved"),
    ]


def test_rare_requests_add_up_while_their_silence_is_shorter_than_the_span(turns):
    assert turns(AVAILABILITY, (0, BAD), (1, IDLE), (2, BAD)) == [(2, "opened")]
    assert turns(AVAILABILITY, (0, BAD), (9, BAD)) == []


def test_a_worse_figure_is_told_once_a_pause(turns):
    windows = [(0, BAD), (1, BAD), (2, {"errors": 60}), (5, {"errors": 70}), (6, {"errors": 80}), (9, BAD)]
    assert turns(AVAILABILITY, *windows) == [(1, "opened"), (5, "worsened")]


def test_a_window_that_comes_late_or_twice_changes_nothing(turns):
    assert turns(AVAILABILITY, (1, BAD), (1, BAD), (0, BAD), (0, GOOD), (2, BAD)) == [(2, "opened")]


def test_a_latency_quantile_is_held_against_its_bound(turns):
    slow = rule(when={"latency_p90_above_ms": 50, "for_seconds": 0})
    windows = [
        (0, {"latency_p90_ms": 50.0}),
        (1, {"latency_p90_ms": 50.1}),
        (2, {"latency_p90_ms": None}),
        (3, GOOD),
    ]
    assert turns(slow, *windows) == [(1, "opened"), (3, "resolved")]


def test_restarts_are_counted_within_their_span(turns):
    loop = rule(when={"restarts_at_least": 3, "within_seconds": 10})
    steady = [(window, {"restarts": window}) for window in range(6)]
    assert turns(loop, *steady) == []
    burst = [(0, {"restarts": 4}), (1, {"restarts": 5}), (2, {"restarts": 7}), (3, {"restarts": 7})]
    assert turns(loop, *burst, (4, {"restarts": 7})) == [(2, "opened"), (3, "resolved")]


def test_a_deployment_that_was_made_again_counts_restarts_anew(turns):
    loop = rule(when={"restarts_at_least": 3, "within_seconds": 60})
    assert turns(loop, (0, {"restarts": 9}), (1, {"restarts": 0}), (2, {"restarts": 2})) == []
    assert turns(loop, (0, {"restarts": 9}), (1, {"restarts": 1}), (2, {"restarts": 4})) == [(2, "opened")]


def test_replicas_that_are_forgotten_with_their_restarts_alarm_nobody(turns):
    loop = rule(when={"restarts_at_least": 3, "within_seconds": 60})
    assert turns(loop, (0, {"restarts": 10}), (1, {"restarts": 10}), (2, {"restarts": 4})) == []


def test_a_day_without_restarts_is_remembered_in_one_count():
    loop, watch = rule(when={"restarts_at_least": 3, "within_seconds": 86_400}), Watch()
    for number in range(100):
        watch, _ = step(watch, loop, _window(number, {"restarts": 7}), PAUSE)
    assert [count.restarts for count in watch.restarts] == [7]


@given(st.lists(st.sampled_from(["bad", "good", "idle", "down"]), max_size=60), st.integers(0, 4))
def test_incidents_open_and_resolve_in_turn_and_survive_storage(kinds, hold):
    hasty = rule(when={"availability_below": 0.95, "for_seconds": 5 * hold})
    fields = {"bad": BAD, "good": GOOD, "idle": IDLE, "down": DOWN}
    watch, seen = Watch(), []
    for number, kind in enumerate(kinds):
        watch = Watch.model_validate_json(watch.model_dump_json())
        watch, turn = step(watch, hasty, _window(number, fields[kind]), PAUSE)
        seen += [turn.kind] if turn and turn.kind != "worsened" else []
    assert seen == ["opened", "resolved"] * (len(seen) // 2) + ["opened"] * (len(seen) % 2)
    assert watch.open == (len(seen) % 2 == 1)


def _window(number, fields):
    healthy = {
        "account": "risk",
        "endpoint": "fraud",
        "variant": "fraud",
        "model": "fraud",
        "version": "1",
        "window_start": NOON + timedelta(seconds=5 * number),
        "window_seconds": 5,
        "requests": 100,
        "errors": 0,
        "latency_p50_ms": 1.0,
        "latency_p90_ms": 2.0,
        "latency_p99_ms": 3.0,
        "replicas_ready": 1,
        "replicas_desired": 1,
        "restarts": 0,
    }
    return HealthSampled(**healthy | fields)

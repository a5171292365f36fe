"""Probes, restarts, capacity, readings and transitions, as pure decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deployer.domain.capacity import Capacity, fitting, refusal
from services.deployer.domain.gate import Gate, Verdict
from services.deployer.domain.observation import Observation, Trouble
from services.deployer.domain.probes import Health, ProbeRules
from services.deployer.domain.progress import (
    Deadlines,
    Failed,
    Moved,
    Progressed,
    Ready,
    Status,
    transitions,
)
from services.deployer.domain.readings import Change, Reading, metrics
from services.deployer.domain.restart import Backoff
from so1s.events import Resources, Scaling

RULES = ProbeRules(readiness_failures=2, liveness_failures=3, startup_seconds=60)


def after(answers):
    health = Health()
    for ready, live in answers:
        health = health.after(ready=ready, live=live, rules=RULES)
    return health


def test_a_process_that_starts_is_not_killed_before_its_deadline():
    health = after([(False, False)] * 50)
    assert not health.hopeless(59, RULES)
    assert health.hopeless(61, RULES)


def test_one_missed_answer_takes_no_traffic_away_and_two_do():
    assert after([(True, True), (False, True)]).ready
    assert not after([(True, True), (False, True), (False, True)]).ready
    assert after([(True, True), (False, True), (False, True), (True, True)]).ready


def test_three_missed_liveness_answers_in_a_row_are_the_end():
    started = [(True, True)]
    assert not after([*started, (False, False), (False, False)]).hopeless(999, RULES)
    assert after([*started, *[(False, False)] * 3]).hopeless(999, RULES)
    assert not after([*started, (False, False), (False, True), (False, False)]).hopeless(999, RULES)


def test_small_models_are_asked_often_at_first():
    assert RULES.period(Health(), up_seconds=1) == 0.05
    assert RULES.period(Health(), up_seconds=30) == 0.5
    assert RULES.period(Health(started=True), up_seconds=1) == 1.0


def test_restarts_wait_longer_each_time_up_to_a_bound():
    backoff = Backoff(first_seconds=10, most_seconds=300)
    delays = [backoff.delay_seconds(failures) for failures in range(1, 8)]
    assert delays == [0, 10, 20, 40, 80, 160, 300]
    assert backoff.delay_seconds(10_000) == 300


def test_a_process_that_ran_long_starts_the_count_anew():
    backoff = Backoff(stable_seconds=60)
    assert backoff.failures(4, ran_seconds=59) == 5
    assert backoff.failures(4, ran_seconds=60) == 1


amounts = st.integers(1, 4000)


@given(amounts, amounts, st.integers(0, 20_000), st.integers(0, 20_000), st.integers(1, 9))
def test_a_refusal_is_given_exactly_where_not_all_fit(cpu, memory, free_cpu, free_memory, count):
    one = Resources(cpu_millicores=max(10, cpu), memory_mib=max(16, memory))
    free = Capacity(free_cpu, free_memory, 0)
    fits = one.cpu_millicores * count <= free_cpu and one.memory_mib * count <= free_memory
    assert (refusal(one, count, free) is None) == fits
    assert (fitting(one, free) >= count) == fits


def test_a_refusal_says_what_is_missing_and_what_would_fit():
    message = refusal(Resources(cpu_millicores=500, memory_mib=1024), 4, Capacity(1700, 8192, 0))
    assert message == (
        "4 replicas of 500 millicores, 1024 MiB cannot start: short by 300 millicores of 1700 free; "
        "3 replicas would fit, or 4 replicas of 425 millicores, 1024 MiB would fit"
    )
    message = refusal(Resources(gpus=1), 1, Capacity(9000, 9000, 0))
    assert message.endswith("short by 1 GPUs of 0 free; nothing of the kind would fit")


def change(seconds=10.0, process=(7, 7), cpu=(0.0, 0.0), requests=(0.0, 0.0), buckets=({}, {})):
    before, after_ = (
        Reading(at, pid, used, answered, counts)
        for at, pid, used, answered, counts in zip(
            (100.0, 100.0 + seconds), process, cpu, requests, buckets, strict=True
        )
    )
    return Change(before, after_, ready=True)


def value(scaling, change_):
    [metric] = metrics(Scaling(max_replicas=9, **scaling), Resources(cpu_millicores=500), [change_])
    return metric.samples[0].value


def test_cpu_is_a_percentage_of_what_is_reserved():
    assert value({"cpu_percent": 80}, change(cpu=(2.0, 4.0))) == pytest.approx(40)  # 0.2 of 0.5 cores


def test_requests_are_counted_per_second():
    assert value({"requests_per_second": 5.0}, change(requests=(100.0, 150.0))) == 5.0


def test_requests_in_work_or_waiting_are_counted_as_they_are_now():
    busy = replace(change(), after=Reading(110.0, 8, in_flight=3.0))
    assert value({"concurrency": 2}, busy) == 3.0


def test_how_busy_gpus_are_is_not_known_of_processes():
    assert value({"gpu_percent": 80}, change()) is None


def test_a_quantile_is_interpolated_within_its_bucket():
    inf = float("inf")
    buckets = ({0.1: 10.0, 0.2: 10.0, inf: 10.0}, {0.1: 60.0, 0.2: 110.0, inf: 110.0})
    assert value({"latency_p90_ms": 50.0}, change(buckets=buckets)) == pytest.approx(180)
    above = ({0.1: 0.0, inf: 0.0}, {0.1: 0.0, inf: 5.0})
    assert value({"latency_p99_ms": 50.0}, change(buckets=above)) == pytest.approx(100)


def test_where_nothing_is_asked_nobody_waits():
    assert value({"latency_p90_ms": 50.0}, change(buckets=({0.1: 5.0}, {0.1: 5.0}))) == 0.0


@pytest.mark.parametrize(
    "scaling", [{"cpu_percent": 80}, {"requests_per_second": 5.0}, {"latency_p90_ms": 5.0}]
)
def test_a_restarted_process_has_no_value_until_it_was_read_twice(scaling):
    assert value(scaling, change(process=(7, 8), cpu=(9.0, 1.0), requests=(9.0, 1.0))) is None
    assert value(scaling, replace(change(), before=None)) is None


SEEN = Observation(
    account="risk",
    deployment="fraud",
    revision=2,
    candidate=False,
    desired=2,
    updated=0,
    ready=1,
    total=3,
    restarts=0,
    service="file:///e",
    url="",
)
STATUS = Status(
    revision=2, since=100.0, least=2, gate=Gate(2), seen_revision=1, updated=1, ready=1, desired=1
)


def told(status=STATUS, now=101.0, **seen):
    return transitions(status, replace(SEEN, **seen), now, Deadlines(rollout=60, checks=600))


def test_an_observation_of_an_earlier_revision_tells_nothing():
    assert told(revision=1, updated=2) == []


def test_each_step_of_a_rollout_is_told_once():
    [progressed] = told(updated=1)
    assert progressed == Progressed("1 of 2 replicas ready")
    assert told(replace(STATUS, seen_revision=2, updated=1, desired=2), updated=1) == []


def test_a_revision_is_not_ready_while_an_earlier_one_takes_traffic():
    assert Ready() not in told(updated=2, outdated=1)


def test_a_revision_is_ready_when_its_least_number_of_replicas_is():
    assert told(updated=2) == [Ready()]
    assert told(replace(STATUS, least=1), updated=1, desired=4) == [Ready()]


def test_a_revision_is_ready_once():
    ready = replace(STATUS, seen_revision=2, ready_revision=2, updated=2, ready=2, desired=2)
    assert told(ready, updated=2, ready=2) == []
    assert told(ready, updated=1, ready=1) == [Moved("a replica is not ready")]
    lost = replace(ready, updated=1, ready=1)
    assert told(lost, updated=2, ready=2) == [Moved("a replica became ready")]


@pytest.mark.parametrize("reason", ["crash_loop", "no_capacity", "image"])
def test_trouble_fails_a_rollout_at_once_and_once(reason):
    trouble = Trouble(reason, "why")
    assert told(trouble=trouble)[-1] == Failed(reason, "why")
    assert told(replace(STATUS, failed_revision=2, desired=2), trouble=trouble) == []


def test_a_rollout_that_takes_too_long_fails():
    assert told(now=160.0)[-1] == Progressed("0 of 2 replicas ready")
    assert told(now=160.1)[-1] == Failed("deadline_exceeded", "0 of 2 replicas are ready after 60 s")


def test_a_failed_revision_that_recovers_is_ready():
    assert told(replace(STATUS, failed_revision=2), updated=2) == [Ready()]


def test_a_restart_and_a_scaling_are_told_by_their_names():
    ready = replace(STATUS, seen_revision=2, ready_revision=2, updated=2, ready=2, desired=2)
    assert told(ready, updated=2, ready=2, restarts=1) == [Moved("a replica was restarted")]
    assert told(ready, updated=2, ready=2, desired=3) == [Moved("scaled from 2 to 3")]


PASSED = Verdict(passed=True, reason="accuracy 0.95", revision=1)
FAILED = Verdict(passed=False, reason="accuracy 0.71", revision=2)


def gate(**verdicts):
    return Gate(2, requires=("quality", "bias"), verdicts=verdicts, beside=True)


CANDIDATE = replace(STATUS, serving_revision=1, ready_revision=1, gate=gate())
READY_CANDIDATE = replace(
    CANDIDATE, candidate_revision=2, seen_revision=2, since=100.0, updated=2, ready=3, desired=2
)


def test_a_gate_opens_when_all_checks_passed_on_whichever_revision():
    assert gate().closed
    assert gate(quality=PASSED).outstanding == ["bias"]
    assert not gate(quality=PASSED, bias=PASSED, style=FAILED).closed
    assert not replace(gate(), beside=False).closed


def test_a_failure_is_one_of_this_revision_and_of_a_check_that_it_requires():
    assert gate(quality=FAILED, style=FAILED).failures == {"quality": "accuracy 0.71"}
    assert gate(quality=replace(FAILED, revision=1)).failures == {}


def test_a_candidate_is_ready_once_and_again_when_it_serves():
    assert told(CANDIDATE, candidate=True, updated=2) == [Ready()]
    assert told(READY_CANDIDATE, candidate=True, updated=2, ready=3) == []
    opened = replace(READY_CANDIDATE, gate=gate(quality=PASSED, bias=PASSED))
    assert told(opened, updated=2, ready=3) == [Ready()]


def test_what_is_not_applied_yet_tells_nothing():
    opened = replace(READY_CANDIDATE, gate=gate(quality=PASSED, bias=PASSED))
    assert told(opened, candidate=True, updated=2, ready=3) == []
    assert told(CANDIDATE, updated=2) == []


def test_a_check_that_fails_is_told_with_its_reason():
    failed = replace(READY_CANDIDATE, gate=gate(quality=FAILED, bias=PASSED))
    assert told(failed, candidate=True) == [Failed("check_failed", "quality: accuracy 0.71")]


def test_a_candidate_without_verdicts_fails_after_its_own_deadline():
    waiting = replace(READY_CANDIDATE, gate=gate(bias=PASSED))
    assert told(waiting, now=700.0, candidate=True, updated=2, ready=3) == []
    assert told(waiting, now=700.1, candidate=True, updated=2, ready=3) == [
        Failed("check_failed", "quality: no verdict within 600 s")
    ]
    assert told(CANDIDATE, now=161.0, candidate=True)[-1].reason == "deadline_exceeded"


def test_what_serves_is_told_of_after_a_failed_check():
    withdrawn = replace(READY_CANDIDATE, failed_revision=2, withdrawn_revision=2)
    assert told(withdrawn, revision=1, desired=4, updated=4, ready=4) == []  # its first figures
    known = replace(withdrawn, seen_revision=1, desired=4, updated=4, ready=4)
    assert told(known, revision=1, desired=4, updated=3, ready=3) == [Moved("a replica is not ready")]


def test_a_verdict_that_comes_after_the_failure_still_lets_the_version_through():
    withdrawn = replace(READY_CANDIDATE, failed_revision=2, withdrawn_revision=2)
    late = replace(withdrawn, gate=gate(quality=PASSED, bias=PASSED))
    assert told(late, updated=2, ready=2) == [Ready()]

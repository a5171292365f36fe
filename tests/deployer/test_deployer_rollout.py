"""Rollouts, as pure decisions: whatever the order in which things happen, they end and lose nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.deployer.domain.rollout import Plan, Replica, most_replicas, plan, plan_candidate, size
from so1s.events import Image, Scaling
from tests.deployer.conftest import workload

IMAGE = Image(reference=f"oci:/images@sha256:{'a' * 64}", digest=f"sha256:{'a' * 64}", size_bytes=1)

flags = st.booleans()


@st.composite
def replicas(draw, ending=flags):
    count = draw(st.integers(0, 8))
    return [
        Replica(f"r{index}", draw(flags), draw(flags), draw(ending), float(draw(st.integers(0, 5))))
        for index in range(count)
    ]


strategies = st.sampled_from(["rolling", "static"])
counts = st.integers(0, 6)


def ready(found):
    return sum(replica.ready and not replica.ending for replica in found)


@given(counts, replicas())
def test_rolling_never_stops_a_ready_replica_that_is_needed(desired, found):
    stopped = set(plan("rolling", desired, found).stop)
    kept = [replica for replica in found if replica.uid not in stopped]
    assert ready(kept) >= min(desired, ready(found))


@given(counts, replicas())
def test_rolling_starts_no_more_than_the_surge(desired, found):
    staying = sum(not replica.ending for replica in found)
    start = plan("rolling", desired, found).start
    assert start == 0 or staying + start <= most_replicas(desired)


@given(counts, replicas())
def test_static_starts_nothing_beside_another_version(desired, found):
    if any(not replica.current for replica in found):
        assert plan("static", desired, found).start == 0


@given(counts, replicas())
def test_a_candidate_keeps_nothing_of_an_earlier_one(desired, found):
    staying = {each.uid: each for each in found if not each.ending}
    todo = plan_candidate(desired, found)
    kept = [each for uid, each in staying.items() if uid not in todo.stop]
    assert all(each.current for each in kept)
    assert len(kept) + todo.start == desired


@given(strategies, counts, replicas())
def test_only_replicas_that_stay_are_stopped_and_each_once(strategy, desired, found):
    stop = plan(strategy, desired, found).stop
    assert len(stop) == len(set(stop))
    assert set(stop) <= {replica.uid for replica in found if not replica.ending}


@given(strategies, counts)
def test_what_is_as_desired_is_left_alone(strategy, desired):
    found = [Replica(f"r{index}", True, True, False, 0.0) for index in range(desired)]
    assert plan(strategy, desired, found) == Plan()


@given(strategies, counts, replicas(), st.randoms(use_true_random=False))
def test_every_rollout_ends_with_the_desired_replicas(strategy, desired, found, random):
    """The world in any order: new replicas become ready and ending ones go, one at a time."""
    for step in range(200):
        todo = plan(strategy, desired, found)
        found = [
            Replica(each.uid, each.current, each.ready, each.ending or each.uid in todo.stop, each.started_at)
            for each in found
        ]
        found += [Replica(f"n{step}-{index}", True, False, False, 9.0) for index in range(todo.start)]
        changeable = [each for each in found if each.ending or not each.ready]
        if not changeable:
            break
        one = random.choice(changeable)
        found.remove(one)
        if not one.ending:
            found.append(Replica(one.uid, one.current, True, False, one.started_at))
    assert len(found) == desired
    assert all(replica.current and replica.ready for replica in found)


@given(strategies, counts, counts, st.tuples(st.integers(1, 6), counts))
def test_a_rollout_makes_nothing_smaller_before_no_earlier_version_serves(strategy, now, outdated, bounds):
    least, more = bounds
    scaling = Scaling(min_replicas=least, max_replicas=least + more, concurrency=1)
    found = size(workload(IMAGE, "1", strategy=strategy, scaling=scaling), now, outdated)
    within = min(max(now, least), least + more)
    waits = strategy == "rolling" and outdated and within < now
    assert found == (now if waits else within)


def test_the_youngest_goes_first_when_there_are_too_many():
    found = [Replica("old", True, True, False, 1.0), Replica("young", True, True, False, 2.0)]
    assert plan("rolling", 1, found) == Plan(stop=("young",))


def test_an_old_replica_that_is_not_ready_stays_while_the_new_one_may_never_be():
    found = [Replica("old", False, False, False, 1.0), Replica("new", True, False, False, 2.0)]
    assert plan("rolling", 1, found) == Plan()

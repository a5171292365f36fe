"""Pods as the deployer makes them, read by the collector."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.collector.adapters.kubernetes import pods
from services.collector.adapters.kubernetes.lives import changes, removal
from services.deployer.adapters.kubernetes.manifests import workload
from services.deployer.ports import Deployment
from so1s.events.envelope import Cause
from tests.collector.cluster import REPLICA, START_MS
from tests.collector.past import OPTIONS, WANTED

DEPLOYED = workload(Deployment("risk", "fraud", 4, WANTED, Cause("e", "c", "t")), OPTIONS)
STARTED = "2027-01-01T00:00:10Z"
STARTED_MS = 1_798_761_610_000


def pod(*, meta=None, **status):
    """A pod of the Deployment, as its node began it."""
    template = DEPLOYED["spec"]["template"]
    own = {"uid": "u1", "name": "fraud-1", "namespace": "so1s-risk", "labels": template["metadata"]["labels"]}
    return {
        "metadata": own | (meta or {}),
        "spec": template["spec"],
        "status": {"phase": "Running", "startTime": STARTED} | status,
    }


def finished(at):
    return {"containerStatuses": [{"name": "server", "state": {"terminated": {"finishedAt": at}}}]}


def read(body):
    return pods.replica(body, DEPLOYED["metadata"]["annotations"], "nvidia.com/gpu")


def test_a_pod_says_whose_it_is_and_what_it_reserves():
    replica = read(pod())
    assert (replica.account, replica.deployment, replica.model, replica.version) == (
        "risk",
        "fraud",
        "fraud",
        "3",
    )
    assert (replica.user, replica.labels) == ("airflow:risk_daily", {"team": "fraud-ds"})
    assert (replica.cpu_millicores, replica.memory_mib, replica.gpus) == (1500, 768, 2)
    assert (replica.uid, replica.pod, replica.cause) == ("u1", "fraud-1", Cause("e", "c", "t"))
    assert (replica.started_ms, replica.ended_ms) == (STARTED_MS, None)


def test_a_pod_that_no_node_took_reserves_nothing():
    body = pod()
    del body["status"]["startTime"]
    assert read(body) is None


def test_a_pod_whose_deployment_was_never_seen_is_a_replica_all_the_same():
    replica = pods.replica(pod(), {}, "nvidia.com/gpu")
    assert (replica.user, replica.labels, replica.cause) == ("unknown", {}, Cause("u1", "u1", ""))


def test_restarts_are_those_of_the_server():
    statuses = [{"name": "proxy", "restartCount": 9}, {"name": "server", "restartCount": 2}]
    assert read(pod(containerStatuses=statuses)).restarts == 2


DELETED = {"deletionTimestamp": "2027-01-01T00:01:00Z"}
AT_30 = finished("2027-01-01T00:00:30Z")
GONE = [{"type": "Ready", "status": "False", "lastTransitionTime": "2027-01-01T00:00:25Z"}]


@pytest.mark.parametrize(
    ("body", "after_ms"),
    [
        (pod(**AT_30), None),  # the server ended, and is started again
        (pod(meta=DELETED), None),  # it was told to, and has not yet
        (pod(meta=DELETED, **AT_30), 20_000),
        (pod(phase="Failed", **AT_30), 20_000),
        (pod(phase="Failed", conditions=GONE), 15_000),  # its node is gone, and cannot tell
    ],
)
def test_a_pod_ends_when_its_status_says_that_it_is_over(body, after_ms):
    assert read(body).ended_ms == (None if after_ms is None else STARTED_MS + after_ms)


NOW_MS = START_MS + 60_000


def test_a_removal_that_is_seen_is_the_end():
    ended = removal(REPLICA, NOW_MS, NOW_MS - 1000, deadline_ms=NOW_MS + 30_000)
    assert (ended.ended_ms, ended.end_estimated) == (NOW_MS, False)


def test_an_end_that_the_pod_told_stands():
    told = replace(REPLICA, ended_ms=START_MS + 5)
    assert removal(told, NOW_MS, NOW_MS, None) == told


def test_a_removal_that_is_told_late_is_an_estimate_up_to_the_deadline():
    ended = removal(REPLICA, NOW_MS, START_MS + 1000, deadline_ms=START_MS + 20_000)
    assert (ended.ended_ms, ended.end_estimated) == (START_MS + 20_000, True)


def test_what_went_while_nobody_watched_ended_when_it_was_known_last():
    (ended,) = changes({"u1": REPLICA}, {}, START_MS + 7000).values()
    assert (ended.ended_ms, ended.end_estimated) == (START_MS + 7000, True)


UNTOLD = replace(REPLICA, user="unknown", labels={}, cause=Cause("u1", "u1", ""))


def test_a_replica_whose_deployment_went_first_stays_whose_it_was():
    assert changes({"u1": REPLICA}, {"u1": UNTOLD}, NOW_MS) == {}
    relabelled = replace(REPLICA, labels={"team": "other"}, ended_ms=NOW_MS)
    (ended,) = changes({"u1": REPLICA}, {"u1": relabelled}, NOW_MS).values()
    assert ended == replace(REPLICA, ended_ms=NOW_MS)


def test_a_replica_that_was_seen_before_its_deployment_is_whose_this_says():
    assert changes({"u1": UNTOLD}, {"u1": REPLICA}, NOW_MS) == {"u1": REPLICA}


def test_restarts_of_a_replica_that_lives_are_news():
    looped = replace(REPLICA, restarts=3)
    assert changes({"u1": REPLICA}, {"u1": looped}, NOW_MS) == {"u1": looped}
    assert changes({"u1": looped}, {"u1": looped}, NOW_MS) == {}


moments = st.integers(START_MS - 10_000, START_MS + 100_000)
lives = st.builds(
    lambda uid, ended: replace(REPLICA, uid=uid, ended_ms=ended), st.sampled_from("abc"), st.none() | moments
)
worlds = st.lists(lives, max_size=3).map(lambda found: {each.uid: each for each in found})


@given(looks=st.lists(st.tuples(worlds, moments), max_size=6))
def test_a_replica_begins_once_and_ends_once_and_never_before_it_began(looks):
    known = {}
    for seen, watched_until_ms in looks:
        changed = changes(known, seen, watched_until_ms)
        assert not any(known[uid].ended_ms is not None for uid in changed if uid in known)
        known |= changed
        assert seen.keys() <= known.keys()
        assert {uid for uid, each in known.items() if each.ended_ms is None} <= seen.keys()
        assert all(
            each.ended_ms is None or each.ended_ms >= each.started_ms
            for each in changed.values()
            if each.uid not in seen
        )

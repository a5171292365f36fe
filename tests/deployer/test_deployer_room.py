"""What is free on the nodes of a cluster, and what is said to who finds no room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.deployer.adapters.kubernetes.advice import Advice
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.room import room
from services.deployer.domain.capacity import Capacity, refusal_on_nodes
from services.deployer.domain.observation import Observation, Trouble
from so1s.errors import TemporaryError
from so1s.events import Resources
from so1s.kubernetes import Refused

OPTIONS = Options("", "cluster.local", gpu_resource="gpu", gpu_scheduler="")


def _node(name, taints=(), ready="True", **allocatable):
    return {
        "metadata": {"name": name},
        "spec": {"taints": list(taints)},
        "status": {
            "allocatable": {"pods": "2"} | allocatable,
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def _requesting(node, **requests):
    return {"spec": {"nodeName": node, "containers": [_one(**requests)]}}


def _one(restart=None, **requests):
    return {"resources": {"requests": requests}} | ({"restartPolicy": restart} if restart else {})


def test_what_is_free_is_what_is_allocatable_less_what_pods_request():
    nodes = [_node("a", cpu="4", memory="8Gi", gpu="2", pods="9"), _node("b", cpu="1500m", memory="1Gi")]
    pods = [_requesting("a", cpu="500m", memory="1Gi", gpu="1"), _requesting("a", cpu="1"), _requesting("")]
    assert room(nodes, pods, OPTIONS) == {"a": Capacity(2500, 7168, 1), "b": Capacity(1500, 1024, 0)}


@pytest.mark.parametrize(
    ("spec", "free"),
    [
        ({"initContainers": [_one(cpu="3")], "containers": [_one(cpu="1")]}, 1000),
        ({"initContainers": [_one(cpu="1")], "containers": [_one(cpu="2")]}, 2000),
        ({"initContainers": [_one("Always", cpu="1")], "containers": [_one(cpu="2")]}, 1000),
        ({"initContainers": [_one("Always", cpu="1"), _one(cpu="2")], "containers": [_one(cpu="1")]}, 1000),
        ({"overhead": {"cpu": "250m"}, "containers": [_one(cpu="1")]}, 2750),
        ({"resources": {"requests": {"cpu": "3"}}, "containers": [_one(cpu="1")]}, 1000),
    ],
    ids=["init", "less than the rest", "sidecar", "init beside a sidecar", "overhead", "the pod's own"],
)
def test_a_pod_takes_what_a_scheduler_reserves_for_it(spec, free):
    pod = {"spec": {"nodeName": "a"} | spec}
    assert room([_node("a", cpu="4")], [pod], OPTIONS)["a"].cpu_millicores == free


CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
GPUS_ONLY = {"key": "gpus", "value": "only", "effect": "NoExecute"}


@pytest.mark.parametrize(
    "node",
    [
        _node("a", cpu="4") | {"spec": {"unschedulable": True}},
        _node("a", cpu="4", ready="Unknown"),
        _node("a", cpu="4", pods="1"),
        _node("a", [CONTROL_PLANE], cpu="4"),
    ],
    ids=["cordoned", "not ready", "full of pods", "tainted"],
)
def test_a_node_that_takes_no_replica_has_no_room(node):
    assert room([node], [_requesting("a")], OPTIONS) == {}


@pytest.mark.parametrize(
    ("toleration", "taint"),
    [
        ({"operator": "Exists"}, CONTROL_PLANE),
        ({"key": CONTROL_PLANE["key"], "operator": "Exists", "effect": "NoSchedule"}, CONTROL_PLANE),
        ({"key": "gpus", "value": "only"}, GPUS_ONLY),
        ({}, CONTROL_PLANE | {"effect": "PreferNoSchedule"}),
    ],
)
def test_a_taint_that_replicas_tolerate_is_none(toleration, taint):
    options = replace(OPTIONS, tolerations=[toleration] if toleration else [])
    assert set(room([_node("a", [taint], cpu="4")], [], options)) == {"a"}


@pytest.mark.parametrize(
    "toleration", [{"key": "gpus", "value": "other"}, {"operator": "Exists", "effect": "NoSchedule"}]
)
def test_a_taint_that_a_toleration_is_not_about_keeps_replicas_away(toleration):
    assert room([_node("a", [GPUS_ONLY], cpu="4")], [], replace(OPTIONS, tolerations=[toleration])) == {}


def test_a_refusal_speaks_of_the_node_that_comes_nearest():
    free = {"small": Capacity(100, 4096, 0), "large": Capacity(400, 4096, 0)}
    said = refusal_on_nodes(Resources(cpu_millicores=500, memory_mib=512), 3, free)
    assert "none of the 3 replicas that wait would fit" in said
    assert "nearest of 2 nodes, large" in said
    assert "short by 100 millicores of 400 free" in said
    assert "1 replica of 400 millicores, 512 MiB would fit" in said


def test_advice_says_how_many_of_those_that_wait_would_fit():
    free = {"small": Capacity(600, 4096, 0), "large": Capacity(1100, 4096, 0)}
    said = refusal_on_nodes(Resources(cpu_millicores=500, memory_mib=512), 5, free)
    assert said == "by what is free, 3 of the 5 replicas that wait would fit"


class _Nodes:
    """An API of one node, or none that answers."""

    def __init__(self, error=None):
        self.error = error
        self.reads = []

    async def read(self, where, _query):
        self.reads.append(where)
        if self.error:
            raise self.error
        return {"items": [_node("a", cpu="1", memory="1Gi")] if where.endswith("nodes") else []}


def _short_of_room(name):
    figures = dict.fromkeys(("desired", "updated", "ready", "total", "restarts"), 0)
    trouble = Trouble("no_capacity", "0/1 nodes are available.", unscheduled=1)
    story = {"revision": 1, "candidate": False, "service": "", "url": "", "trouble": trouble}
    return Observation("risk", name, **figures, **story)


LARGE = {("risk", name): Resources(cpu_millicores=2000, memory_mib=64) for name in ("fraud", "churn")}


async def test_all_that_are_short_of_room_are_advised_by_one_look():
    nodes, advice = _Nodes(), Advice(OPTIONS)
    short = [_short_of_room("fraud"), _short_of_room("churn")]
    for _ in range(2):
        advised = await advice.give(nodes, short, LARGE)
        assert all("1 replica of 1000 millicores" in each.trouble.message for each in advised)
    assert nodes.reads == ["/api/v1/nodes", "/api/v1/pods"]


async def test_who_is_short_of_something_else_than_nodes_gets_no_advice_on_them():
    short = [replace(_short_of_room("fraud"), trouble=Trouble("no_capacity", "exceeded quota: small"))]
    nodes = _Nodes()
    assert await Advice(OPTIONS).give(nodes, short, LARGE) == short
    assert nodes.reads == []


@pytest.mark.parametrize("error", [Refused("nodes is forbidden"), TemporaryError("timed out")])
async def test_who_is_short_of_room_is_observed_without_advice_where_the_nodes_cannot_be_read(error):
    short = [_short_of_room("fraud")]
    assert await Advice(OPTIONS).give(_Nodes(error), short, LARGE) == short

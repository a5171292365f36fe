"""What the Kubernetes adapter makes of a deployment and of what a cluster shows; the lab asks a real API."""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deployer.adapters.kubernetes.advice import Advice
from services.deployer.adapters.kubernetes.autoscaler import autoscaler
from services.deployer.adapters.kubernetes.drift import differences
from services.deployer.adapters.kubernetes.keda import Keda, scaled_object, total
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.pod import Pod
from services.deployer.adapters.kubernetes.pod_metrics import POD_METRICS
from services.deployer.adapters.kubernetes.pods import pod_spec
from services.deployer.adapters.kubernetes.room import room
from services.deployer.domain.capacity import Capacity, refusal_on_nodes
from services.deployer.domain.observation import Observation, Trouble
from so1s.errors import TemporaryError
from so1s.events import Resources, Scaling
from so1s.kubernetes import Refused, quantities
from tests.deployer.conftest import deployment
from tests.deployer.fraud import wanted

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(10, 256_000))
def test_an_amount_of_cpu_is_read_as_it_was_written(millicores):
    assert quantities.amount(quantities.cpu(millicores)) == Fraction(millicores, 1000)


@given(st.integers(16, 4_194_304))
def test_an_amount_of_memory_is_read_as_it_was_written(mebibytes):
    assert quantities.amount(quantities.memory(mebibytes)) == mebibytes * 2**20


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("1e3", 1000), ("2k", 2000), ("3M", 3_000_000), ("1536Mi", 1536 * 2**20)]
)
def test_quantities_of_other_hands_are_read(text, number):
    assert quantities.amount(text) == number


@pytest.mark.parametrize(("written", "mebibytes"), [("512Mi", 512), ("1Gi", 1024), ("1536Mi", 1536)])
def test_memory_is_written_as_the_api_would_store_it(written, mebibytes):
    assert quantities.memory(mebibytes) == written


def test_what_others_added_is_no_difference():
    assert (
        differences({"a": {"b": 1}, "c": [{"d": 2}]}, {"a": {"b": 1, "x": 9}, "c": [{"d": 2, "y": 9}]}) == []
    )


def test_each_difference_is_named_by_its_path():
    said = {"a": {"b": 1}, "c": [{"d": 2}], "e": [1], "f": {"g": 1}}
    assert differences(said, {"a": {"b": 2}, "c": [{}], "e": [1, 2], "f": 3}) == [
        ".a.b",
        ".c[0].d",
        ".e",
        ".f",
    ]


def test_each_target_is_a_metric_of_the_autoscaler():
    scaling = Scaling(
        min_replicas=1, max_replicas=4, cpu_percent=70, requests_per_second=12.5, latency_p90_ms=50
    )
    cpu, requests, latency = autoscaler("fraud", scaling)["metrics"]
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert requests["pods"]["target"] == {"type": "AverageValue", "averageValue": "12500m"}
    assert latency["pods"]["metric"] == {"name": "so1s_latency_p90_milliseconds"}


def test_an_autoscaler_is_as_fast_as_is_said():
    said = Scaling(max_replicas=4, concurrency=2, scale_up_window_seconds=0, scale_down_replicas_per_minute=3)
    assert autoscaler("fraud", said)["behavior"] == {
        "scaleUp": {"stabilizationWindowSeconds": 0},
        "scaleDown": {"policies": [{"type": "Pods", "value": 3, "periodSeconds": 60}]},
    }


def test_where_nothing_is_said_of_its_speed_it_is_the_clusters():
    assert "behavior" not in autoscaler("fraud", Scaling(max_replicas=4, concurrency=2))


def test_kedas_object_has_the_same_bounds_targets_and_speed():
    said = Scaling(max_replicas=4, cpu_percent=70, latency_p90_ms=50, scale_down_window_seconds=30)
    spec = scaled_object("fraud", "so1s-risk", said, Keda("http://prometheus", authentication="token"))
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)
    cpu, latency = spec["triggers"]
    assert (cpu["metricType"], cpu["metadata"]) == ("Utilization", {"value": "70"})
    assert (latency["metricType"], latency["metadata"]["threshold"]) == ("AverageValue", "50.0")
    assert latency["authenticationRef"] == {"name": "token", "kind": "ClusterTriggerAuthentication"}
    assert (
        spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == autoscaler("fraud", said)["behavior"]
    )


@pytest.mark.parametrize(
    ("pod", "counts"),
    [
        ("fraud-5d4f8c7b9-x2x4z", True),
        ("fraud--candidate-5d4f8c7b9-x2x4z", False),
        ("fraud-next-5d4f8c7b9-x2x4z", False),
        ("fraud-5d4f8c7b9", False),
    ],
)
def test_keda_sums_over_the_pods_of_one_deployment(pod, counts):
    query = total(POD_METRICS[0], "so1s-risk", "fraud")
    [pattern] = re.findall(r'pod=~"(.*)"', query)
    assert bool(re.fullmatch(pattern, pod)) == counts


def _node(name, **allocatable):
    return {"metadata": {"name": name}, "spec": {}, "status": {"allocatable": allocatable}}


def _requesting(node, **requests):
    return {"spec": {"nodeName": node, "containers": [{"resources": {"requests": requests}}]}}


def test_what_is_free_is_what_is_allocatable_less_what_pods_request():
    nodes = [_node("a", cpu="4", memory="8Gi", gpu="2"), _node("b", cpu="1500m", memory="1Gi")]
    pods = [_requesting("a", cpu="500m", memory="1Gi", gpu="1"), _requesting("a", cpu="1"), _requesting("")]
    assert room(nodes, pods, "gpu") == {"a": Capacity(2500, 7168, 1), "b": Capacity(1500, 1024, 0)}


def test_a_node_that_takes_no_pods_has_no_room():
    assert room([_node("a", cpu="4", memory="8Gi") | {"spec": {"unschedulable": True}}], [], "gpu") == {}


def test_a_refusal_speaks_of_the_node_that_comes_nearest():
    free = {"small": Capacity(100, 4096, 0), "large": Capacity(400, 4096, 0)}
    said = refusal_on_nodes(Resources(cpu_millicores=500, memory_mib=512), free)
    assert "nearest of 2 nodes, large" in said
    assert "short by 100 millicores of 400 free" in said
    assert "1 replica of 400 millicores, 512 MiB would fit" in said


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
    trouble = Trouble("no_capacity", "0/1 nodes are available.")
    story = {"revision": 1, "candidate": False, "service": "", "url": "", "trouble": trouble}
    return Observation("risk", name, **figures, **story)


OPTIONS = Options("", "cluster.local", gpu_resource="gpu", gpu_scheduler="")
LARGE = {("risk", name): Resources(cpu_millicores=2000, memory_mib=64) for name in ("fraud", "churn")}


async def test_all_that_are_short_of_room_are_advised_by_one_look():
    nodes, advice = _Nodes(), Advice(OPTIONS)
    short = [_short_of_room("fraud"), _short_of_room("churn")]
    for _ in range(2):
        advised = await advice.give(nodes, short, LARGE)
        assert all("1 replica of 1000 millicores" in each.trouble.message for each in advised)
    assert nodes.reads == ["/api/v1/nodes", "/api/v1/pods"]


@pytest.mark.parametrize("error", [Refused("nodes is forbidden"), TemporaryError("timed out")])
async def test_who_is_short_of_room_is_observed_without_advice_where_the_nodes_cannot_be_read(error):
    short = [_short_of_room("fraud")]
    assert await Advice(OPTIONS).give(_Nodes(error), short, LARGE) == short


def _pod(**status):
    meta = {"name": "fraud-1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}}
    return Pod({"metadata": meta, "spec": {}, "status": status})


def _container(restarts=0, **state):
    return {
        "containerStatuses": [{"name": "server", "restartCount": restarts, "state": state, "lastState": {}}]
    }


def test_a_replica_that_looks_for_a_node_is_in_trouble_after_a_while():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
    pod = _pod(conditions=[condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}])
    assert pod.trouble(NOW + timedelta(seconds=4), 5, 25) is None
    found = pod.trouble(NOW + timedelta(seconds=6), 5, 25)
    assert found
    assert (found.reason, "no GPU" in found.message) == ("no_capacity", True)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (_container(waiting={"reason": "ErrImageNeverPull", "message": "not found"}), "image"),
        (_container(waiting={"reason": "CreateContainerConfigError", "message": "runs as root"}), "image"),
        (_container(restarts=3, waiting={"reason": "CrashLoopBackOff"}), "crash_loop"),
        (_container(restarts=3, running={}), "crash_loop"),
    ],
)
def test_what_keeps_a_replica_from_coming_up_is_named(status, reason):
    found = _pod(**status).trouble(NOW, 5, 25)
    assert found
    assert found.reason == reason


def test_an_image_that_cannot_be_pulled_is_trouble_once_it_was_tried_again():
    """The first try may come before the pull secret has reached the node."""
    pod = _pod(**_container(waiting={"reason": "ImagePullBackOff", "message": "401 Unauthorized"}))
    assert pod.trouble(NOW + timedelta(seconds=20), 5, 25) is None
    found = pod.trouble(NOW + timedelta(seconds=30), 5, 25)
    assert found
    assert (found.reason, "401" in found.message) == ("image", True)


@pytest.mark.parametrize(
    "status",
    [
        _container(waiting={"reason": "ContainerCreating"}),
        _container(restarts=1, running={}),
        _container(restarts=9, running={}) | {"conditions": [{"type": "Ready", "status": "True"}]},
        {"phase": "Failed", "reason": "Evicted"},
    ],
)
def test_a_replica_that_starts_or_serves_is_in_no_trouble(status):
    assert _pod(**status).trouble(NOW, 5, 25) is None


def test_inference_servers_get_the_settings_that_the_operator_says():
    options = Options(
        "",
        "cluster.local",
        gpu_resource="gpu",
        gpu_scheduler="",
        server_variables={"SO1S_RUNTIME_ACCESS_LOG": "true", "SO1S_RUNTIME_DRAIN_SECONDS": "3"},
    )
    (container,) = pod_spec(deployment(wanted()), options, {})["containers"]
    said = [each for each in container["env"] if each["name"].startswith("SO1S_RUNTIME_")]
    assert {each["name"]: each["value"] for each in said} == {
        "SO1S_RUNTIME_ACCESS_LOG": "true",
        "SO1S_RUNTIME_DRAIN_SECONDS": "3",
        "SO1S_RUNTIME_INTRA_THREADS": "1",
        "SO1S_RUNTIME_ACCOUNT": "risk",
        "SO1S_RUNTIME_DEPLOYMENT": "fraud",
    }
    assert len(said) == 5

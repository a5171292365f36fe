"""What the Kubernetes adapter makes of a deployment and of what a cluster shows; the lab asks a real API."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.accounts import Accounts
from services.deployer.adapters.kubernetes.advice import Advice
from services.deployer.adapters.kubernetes.autoscaler import autoscaler
from services.deployer.adapters.kubernetes.drift import departures, differences
from services.deployer.adapters.kubernetes.keda import Keda, scaled_object, total
from services.deployer.adapters.kubernetes.observing import Parts, lacks_shared, observe
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
from so1s.kubernetes.errors import NotFound, failure
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


SAID = {
    "kind": "Deployment",
    "metadata": {"ownerReferences": [{"uid": "1"}]},
    "spec": {
        "template": {"spec": {"containers": [{"name": "server", "env": [{"name": "A", "value": "1"}]}]}}
    },
}
_CONTAINER = "f:containers", 'k:{"name":"server"}'


def _managed(spec, manager="kubectl-edit", operation="Update", **more):
    """SAID as it is in a cluster where another hand set fields of its spec."""
    entry = {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": spec}, **more}
    return {**SAID, "metadata": SAID["metadata"] | {"managedFields": [entry]}}


def _of_pods(*path):
    fields = {}
    for step in reversed(("f:template", "f:spec", *path)):
        fields = {step: fields}
    return fields


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (_of_pods("f:nodeSelector", "f:disk"), ".spec.template.spec.nodeSelector"),
        (
            _of_pods("f:containers", 'k:{"name":"theirs"}'),
            '.spec.template.spec.containers[{"name":"theirs"}]',
        ),
        (
            _of_pods(*_CONTAINER, "f:env", 'k:{"name":"B"}'),
            '.spec.template.spec.containers[{"name":"server"}].env[{"name":"B"}]',
        ),
    ],
)
def test_what_another_hand_added_to_a_spec_is_named_by_its_path(fields, path):
    assert departures(SAID, _managed(fields)) == [path]


@pytest.mark.parametrize(
    "live",
    [
        _managed(_of_pods(*_CONTAINER, "f:env", 'k:{"name":"A"}', "f:value")),
        _managed({"f:replicas": {}}),
        _managed({"f:template": {"f:metadata": {"f:annotations": {}}}}),
        _managed({"f:paused": {}}, subresource="status"),
        _managed({"f:paused": {}}, names.MANAGER, "Apply"),
        SAID | {"metadata": {"ownerReferences": [{"uid": "2"}, {"uid": "1", "controller": True}]}},
    ],
    ids=["what is said", "replicas", "annotations of pods", "a status", "our own", "another owner"],
)
def test_what_others_set_by_right_is_no_departure(live):
    assert departures(SAID, live) == []


def test_an_operator_may_fill_in_what_it_serves():
    said = SAID | {"kind": "ScaledObject"}
    assert departures(said, _managed({"f:cooldownPeriod": {}}) | {"kind": "ScaledObject"}) == []


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


def _unmade(message):
    """A Deployment whose pods cannot be made."""
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    spec = {"replicas": 1, "template": {"metadata": {"labels": {}}}}
    return Parts(stable={"metadata": {}, "spec": spec, "status": {"conditions": [condition]}})


LOST = 'pods "fraud-1" is forbidden: error looking up service account: serviceaccount "so1s-server" not found'


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "fraud-1" is forbidden: exceeded quota: small, requested: pods=1', "no_capacity"),
        ('pods "fraud-1" is forbidden: violates PodSecurity "restricted:latest"', "refused"),
    ],
)
def test_why_no_replica_can_be_made_is_told(message, reason):
    trouble = observe(("risk", "fraud"), _unmade(message), OPTIONS, NOW).trouble
    assert trouble == Trouble(reason, message)


def test_a_lost_service_account_is_no_trouble_of_the_deployment_but_of_its_account():
    parts = _unmade(LOST)
    assert observe(("risk", "fraud"), parts, OPTIONS, NOW).trouble is None
    assert lacks_shared(parts, OPTIONS)
    assert not lacks_shared(_unmade("exceeded quota: small"), OPTIONS)


def test_replicas_whose_image_is_not_pulled_may_lack_the_secret_where_there_is_one():
    parts = Parts(pods=[_pod(**_container(waiting={"reason": "ErrImagePull"}))])
    assert lacks_shared(parts, replace(OPTIONS, image_pull_secret=("so1s", "pull")))
    assert not lacks_shared(parts, OPTIONS)


class _Applied:
    """An API that takes everything, or nothing while it is away."""

    def __init__(self, *there):
        self.kinds = []
        self.deleted = []
        self.error = None
        self.there = there

    async def read(self, _where, _query):
        return {"items": [_shared(account, namespace) for account, namespace in self.there]}

    async def delete(self, _version, kind, namespace, name):
        if self.error:
            raise self.error
        self.deleted.append((kind, namespace, name))

    async def apply(self, manifest, **_):
        if self.error:
            raise self.error
        self.kinds.append(manifest["kind"])


def _shared(account, namespace):
    return {"metadata": {"namespace": namespace, "labels": {"so1s.io/account": account}}}


async def test_what_no_deployment_shares_any_more_goes_also_where_an_earlier_process_made_it():
    api = _Applied(("old", "mine-old"), ("used", "mine-used"), ("theirs", "other-theirs"))
    accounts = Accounts(api, replace(OPTIONS, namespace_prefix="mine-", image_pull_secret=("so1s", "pull")))
    await accounts.find()
    api.error = TemporaryError("timed out")
    await accounts.keep({"used"})
    api.error = None
    for _ in range(2):
        await accounts.keep({"used"})
    assert api.deleted == [("Secret", "mine-old", "so1s-pull"), ("ServiceAccount", "mine-old", "so1s-server")]


async def test_what_may_not_be_removed_stays_and_is_not_tried_again():
    api = _Applied(("old", "old"))
    accounts = Accounts(api, OPTIONS)
    await accounts.find()
    api.error = Refused("serviceaccounts is forbidden")
    await accounts.keep(set())
    api.error = None
    await accounts.keep(set())
    assert api.deleted == []


async def test_what_an_account_shares_is_made_once_and_again_where_it_is_missed():
    api, now = _Applied(), [0.0]
    accounts = Accounts(api, OPTIONS, clock=lambda: now[0])
    for _ in range(2):
        await accounts.ensure("risk")
    await accounts.mend(["risk"])
    assert api.kinds == ["Namespace", "ServiceAccount"]
    accounts.forget("risk")
    await accounts.ensure("risk")
    assert len(api.kinds) == 4
    now[0] += 11
    await accounts.mend(["risk", "another-installation"])
    assert len(api.kinds) == 6


async def test_what_an_account_shares_and_cannot_be_mended_now_is_tried_again_later():
    api, now = _Applied(), [0.0]
    accounts = Accounts(api, OPTIONS, clock=lambda: now[0])
    await accounts.ensure("risk")
    api.error = TemporaryError("timed out")
    now[0] += 11
    await accounts.mend(["risk"])
    api.error = None
    now[0] += 11
    await accounts.mend(["risk"])
    assert len(api.kinds) == 4


def test_what_is_made_in_a_namespace_that_goes_can_be_made_later():
    said = 'deployments.apps "fraud" is forbidden: unable to create new content in namespace so1s-risk '
    error = failure(403, json.dumps({"message": f"{said}because it is being terminated"}))
    assert isinstance(error, NotFound)
    assert isinstance(failure(403, json.dumps({"message": "no permission"})), Refused)


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

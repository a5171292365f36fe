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
from services.deployer.adapters.kubernetes.autoscaler import autoscaler
from services.deployer.adapters.kubernetes.drift import departures, differences
from services.deployer.adapters.kubernetes.keda import Keda, scaled_object, total
from services.deployer.adapters.kubernetes.observing import Parts, lacks_shared, observe
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.adapters.kubernetes.pod import Pod
from services.deployer.adapters.kubernetes.pod_metrics import POD_METRICS
from services.deployer.adapters.kubernetes.pods import pod_spec
from services.deployer.domain.observation import Trouble
from so1s.events import Scaling
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
        differences({"a": {"b": 1}, "c": [{"d": 2}]}, {"a": {"b": 1, "x": 9}, "c": [{"d": 2, "y": 9}]}) == {}
    )


def test_each_difference_is_named_by_its_path():
    said = {"a": {"b": 1}, "c": [{"d": 2}], "e": [1], "f": {"g": 1}}
    assert differences(said, {"a": {"b": 2}, "c": [{}], "e": [1, 2], "f": 3}) == {
        ".a.b": 2,
        ".c[0].d": None,
        ".e": [1, 2],
        ".f": 3,
    }


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
    assert list(departures(SAID, _managed(fields))) == [path]


def test_what_another_hand_added_is_told_with_its_value():
    live = _managed(_of_pods("f:dnsPolicy"))
    live["spec"] = {"template": {"spec": SAID["spec"]["template"]["spec"] | {"dnsPolicy": "None"}}}
    assert departures(SAID, live) == {".spec.template.spec.dnsPolicy": "None"}


@pytest.mark.parametrize(
    "live",
    [
        _managed(_of_pods(*_CONTAINER, "f:env", 'k:{"name":"A"}', "f:value")),
        _managed({"f:replicas": {}}),
        _managed({"f:template": {"f:metadata": {"f:annotations": {}}}}),
        _managed({"f:paused": {}}, subresource="status"),
        _managed({"f:paused": {}}, names.MANAGER, "Apply"),
        _managed({"f:paused": {}}, names.MANAGER, "Update"),
        SAID | {"metadata": {"ownerReferences": [{"uid": "2"}, {"uid": "1", "controller": True}]}},
    ],
    ids=[
        "what is said",
        "replicas",
        "annotations of pods",
        "a status",
        "our own",
        "what a replace filled in",
        "another owner",
    ],
)
def test_what_others_set_by_right_is_no_departure(live):
    assert departures(SAID, live) == {}


def test_an_operator_may_fill_in_what_it_serves():
    said = SAID | {"kind": "ScaledObject"}
    assert departures(said, _managed({"f:cooldownPeriod": {}}) | {"kind": "ScaledObject"}) == {}


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
        ('admission webhook "policy.io" denied the request: no timeout is said', "refused"),
    ],
)
def test_why_no_replica_can_be_made_is_told(message, reason):
    trouble = observe(("risk", "fraud"), _unmade(message), OPTIONS, NOW).trouble
    assert trouble == Trouble(reason, message)


@pytest.mark.parametrize(
    "message",
    [
        'Internal error occurred: failed calling webhook "sidecar-injector.istio.io": no route to host',
        "Timeout: request did not complete within requested timeout - context deadline exceeded",
        "etcdserver: request timed out",
    ],
)
def test_a_replica_that_cannot_be_made_while_a_webhook_is_away_is_no_trouble_yet(message):
    assert observe(("risk", "fraud"), _unmade(message), OPTIONS, NOW).trouble is None


def test_a_lost_service_account_is_no_trouble_of_the_deployment_but_of_its_account():
    parts = _unmade(LOST)
    assert observe(("risk", "fraud"), parts, OPTIONS, NOW).trouble is None
    assert lacks_shared(parts, OPTIONS)
    assert not lacks_shared(_unmade("exceeded quota: small"), OPTIONS)


def test_replicas_whose_image_is_not_pulled_may_lack_the_secret_where_there_is_one():
    parts = Parts(pods=[_pod(**_container(waiting={"reason": "ErrImagePull"}))])
    assert lacks_shared(parts, replace(OPTIONS, image_pull_secret=("so1s", "pull")))
    assert not lacks_shared(parts, OPTIONS)


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

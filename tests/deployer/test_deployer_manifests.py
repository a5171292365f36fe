"""What the Kubernetes adapter asks of a cluster for each deployment."""

from __future__ import annotations

from dataclasses import replace

from services.deployer.adapters.kubernetes import manifests
from services.deployer.adapters.kubernetes.options import Options
from so1s.events import Resources
from tests.deployer.conftest import deployment
from tests.deployer.fraud import wanted

OPTIONS = Options("so1s-", "cluster.local", gpu_resource="gpu", gpu_scheduler="")
OWNER = {"metadata": {"name": "fraud", "uid": "1"}}
SELECTOR = {"so1s.io/deployment": "fraud", "so1s.io/track": "stable"}


def pods(options=OPTIONS, **changes):
    """The template of a deployment's pods."""
    return manifests.workload(deployment(wanted(**changes)), options)["spec"]["template"]


def beside(kind):
    objects = manifests.beside(deployment(wanted()), OPTIONS, OWNER)
    return next(each for each in objects if each["kind"] == kind)


def test_replicas_spread_over_the_nodes_where_there_is_room():
    [spread] = pods()["spec"]["topologySpreadConstraints"]
    assert spread == {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": SELECTOR},
    }
    assert pods()["metadata"]["labels"].items() >= SELECTOR.items()


def test_replicas_with_gpus_are_packed_and_not_spread_where_a_scheduler_packs_them():
    gpus = Resources(cpu_millicores=100, memory_mib=64, gpus=1)
    spec = pods(replace(OPTIONS, gpu_scheduler="packs"), resources=gpus)["spec"]
    assert spec["schedulerName"] == "packs"
    assert "topologySpreadConstraints" not in spec


def test_one_replica_at_a_time_may_be_moved_away():
    budget = beside("PodDisruptionBudget")
    assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": SELECTOR}}
    assert (budget["metadata"]["name"], budget["metadata"]["namespace"]) == ("fraud", "so1s-risk")


def test_what_stands_beside_a_deployment_goes_with_it():
    for kind in ("Service", "PodDisruptionBudget"):
        [owner] = beside(kind)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Deployment", "fraud", "1")


def test_a_server_writes_nowhere_but_in_a_bounded_tmp():
    spec = pods()["spec"]
    [container] = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "512Mi"}}]


def test_a_server_is_no_user_of_a_node():
    context = pods()["spec"]["securityContext"]
    assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 65532


def test_a_server_gets_no_token_of_the_cluster():
    _, account = manifests.of_account("risk", OPTIONS)
    assert account["automountServiceAccountToken"] is False
    spec = pods()["spec"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("so1s-server", False)

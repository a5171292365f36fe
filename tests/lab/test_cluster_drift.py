"""What another hand changes on a real API server, and that it is put back; kwok plays the kubelets."""
# ruff: noqa: F401, F811 - what is imported and not called are fixtures

import math

import pytest
from structlog.testing import capture_logs

from so1s.errors import TemporaryError
from so1s.events import Scaling
from so1s.kubernetes.errors import Conflict
from tests.deployer.conftest import (
    deployment,
    in_background,
    seen,
    settled,
    store,
    until,
    workload,
)
from tests.deployer.reconciled import Deployer
from tests.lab.installed import (
    calls_of,
    cluster,
    machine,
    serving,
)

EDITS = {
    ("Deployment", "apps/v1"): lambda spec: spec | {"replicas": 0},
    ("Service", "v1"): lambda spec: spec | {"selector": {"app": "theirs"}},
    ("PodDisruptionBudget", "policy/v1"): lambda spec: spec | {"maxUnavailable": 2},
    ("HorizontalPodAutoscaler", "autoscaling/v2"): lambda spec: spec | {"maxReplicas": 9},
}


def _with_variable(spec):
    [container] = spec["template"]["spec"]["containers"]
    mine = container | {"env": [{"name": "THEIRS", "value": "1"}, *container["env"]]}
    return _with_pods(spec, {"containers": [mine]})


def _with_pods(spec, changes):
    pods = spec["template"]["spec"] | changes
    return spec | {"template": spec["template"] | {"spec": pods}}


ADDITIONS = {
    "a variable": ("Deployment", "apps/v1", _with_variable),
    "a label of nodes": (
        "Deployment",
        "apps/v1",
        lambda spec: _with_pods(spec, {"nodeSelector": {"disk": "ssd"}}),
    ),
    "another value than the default": (
        "Deployment",
        "apps/v1",
        lambda spec: _with_pods(spec, {"dnsPolicy": "Default"}),
    ),
    "a port": (
        "Service",
        "v1",
        lambda spec: spec | {"ports": [*spec["ports"], {"name": "x", "port": 9, "protocol": "TCP"}]},
    ),
}


async def _autoscaled(cluster, machine):
    scaling = Scaling(min_replicas=1, max_replicas=4, requests_per_second=10)
    wanted = deployment(workload(machine.image("1"), "1", scaling=scaling))
    await cluster.apply(wanted)
    await settled(cluster, ready=1)
    return wanted


async def _edit(machine, kind, version, change):
    """Another hand's, as by `kubectl edit`."""

    async def edited():
        found = await machine.api.get(version, kind, machine.namespace, "fraud")
        try:
            await machine.api.replace(found | {"spec": change(found["spec"])}, manager="kubectl-edit")
        except Conflict:  # a controller was faster
            return False
        return True

    await until(edited)


async def _drift(cluster):
    now = await seen(cluster)
    return now and now.drift


async def _without_drift(cluster):
    now = await seen(cluster)
    return now and not now.drift


@pytest.mark.parametrize("edited", EDITS, ids=lambda edited: edited[0])
async def test_an_edit_by_another_hand_is_drift_until_it_is_undone(cluster, machine, edited):
    wanted = await _autoscaled(cluster, machine)
    kind, version = edited
    before = machine.objects(kind)["fraud"]["spec"]
    assert await _without_drift(cluster)
    await _edit(machine, kind, version, EDITS[edited])
    assert list(await until(lambda: _drift(cluster))) == [kind]
    await cluster.apply(wanted)
    assert machine.objects(kind)["fraud"]["spec"] == before
    assert await _without_drift(cluster)


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"])
async def test_an_object_that_another_hand_deleted_is_drift_until_it_is_there_again(cluster, machine, kind):
    wanted = await _autoscaled(cluster, machine)
    await machine.api.delete(machine.last._versions[kind], kind, machine.namespace, "fraud")
    found = await until(lambda: _drift(cluster))
    assert found[kind] == ["deleted"]

    async def back():
        await cluster.apply(wanted)
        return machine.objects(kind) and await _without_drift(cluster)

    await until(back)
    await settled(cluster, ready=1)


@pytest.mark.parametrize("added", ADDITIONS)
async def test_what_another_hand_added_goes_and_then_there_is_nothing_to_do(cluster, machine, added):
    kind, version, change = ADDITIONS[added]
    wanted = await _autoscaled(cluster, machine)
    before = machine.objects(kind)["fraud"]["spec"]
    with capture_logs() as logs:
        for _ in range(2):
            await _edit(machine, kind, version, change)
            assert list(await until(lambda: _drift(cluster))) == [kind]
            await cluster.apply(wanted)
            assert machine.objects(kind)["fraud"]["spec"] == before
    assert [each for each in logs if "does not take" in each["event"]] == []
    calls = calls_of(cluster)
    await cluster.apply(wanted)
    assert (calls, await _drift(cluster)) == ([], {})


async def test_what_another_hand_adds_by_right_stays_and_is_no_drift(cluster, machine):
    """Annotations, a restarted rollout, and a number of replicas within the autoscaler's bounds."""
    wanted = await _autoscaled(cluster, machine)
    meta = {"name": "fraud", "namespace": machine.namespace, "annotations": {"theirs": "1"}}
    restarted = {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}
    edit = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": restarted}
    await machine.api.apply(edit, manager="kubectl-rollout")
    await machine.patch("apps/v1", "Deployment", "fraud", {"replicas": 2})
    await settled(cluster, ready=2)
    await _edit(machine, "Deployment", "apps/v1", _with_variable)
    await until(lambda: _drift(cluster))
    await cluster.apply(wanted)
    live = machine.objects("Deployment")["fraud"]
    assert live["metadata"]["annotations"]["theirs"] == "1"
    assert live["spec"]["template"]["metadata"]["annotations"]
    assert live["spec"]["replicas"] == 2
    await settled(cluster, ready=2)
    assert await _without_drift(cluster)


async def test_an_accounts_namespace_that_another_hand_deleted_is_made_again_with_all_in_it(cluster, machine):
    wanted = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(wanted)
    await settled(cluster, ready=1)
    before = await machine.api.get("v1", "Namespace", None, machine.namespace)
    await machine.api.delete("v1", "Namespace", None, machine.namespace)

    async def again():
        try:
            await cluster.apply(wanted)
        except TemporaryError:
            return False
        now = await seen(cluster)
        found = await machine.api.get("v1", "Namespace", None, machine.namespace)
        return found["metadata"]["uid"] != before["metadata"]["uid"] and now.updated == 1 and not now.drift

    await until(again)
    assert (await seen(cluster)).trouble is None


async def test_a_service_account_that_another_hand_deleted_is_made_again(cluster, machine, monkeypatch):
    monkeypatch.setattr("services.deployer.adapters.kubernetes.accounts._DOUBT_SECONDS", 0.0)
    await serving(cluster, machine)
    await machine.api.delete("v1", "ServiceAccount", machine.namespace, "so1s-server")
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2), revision=2))
    await settled(cluster, ready=2, revision=2)
    assert await machine.api.get("v1", "ServiceAccount", machine.namespace, "so1s-server")


async def test_a_deployer_puts_back_at_once_what_another_hand_changed(machine, store):
    with capture_logs() as logs:
        deployer = Deployer(machine, store)
        reconciler = deployer.make(poll_seconds=3600)
        async with in_background(reconciler.lead()):
            await deployer.request("1")
            await deployer.once("DeploymentReady")
            reconciler._resync_at = math.inf
            await machine.patch("apps/v1", "Deployment", "fraud", {"replicas": 0})
            await until(lambda: _is(lambda: _warned(logs)))
            await settled(deployer.cluster, ready=1)
    [warning] = _warned(logs)
    assert (warning["account"], warning["deployment"]) == ("risk", "fraud")
    assert (warning["kind"], warning["fields"]) == ("Deployment", [".spec.replicas"])


def _warned(logs):
    return [each for each in logs if "another hand" in each["event"]]


async def _is(condition):
    return condition()

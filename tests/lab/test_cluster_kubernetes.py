"""The `Cluster` port on a real API server with real controllers; kwok plays the kubelets."""
# ruff: noqa: F401, F811 - what is imported and not called are fixtures, or the port's promises

import base64
from dataclasses import replace
from typing import Any

import pytest

from services.deployer.domain.observation import Trouble
from so1s.errors import TemporaryError
from so1s.events import Resources, Scaling
from so1s.kubernetes import Refused
from tests.deployer.conftest import (
    deployment,
    seen,
    settled,
    until,
    workload,
)
from tests.deployer.test_cluster_conformance import (  # the port's promises that need no HTTP
    test_a_removed_deployment_can_be_applied_again,
    test_a_rolling_update_never_has_fewer_ready_replicas_than_desired,
    test_a_rollout_to_fewer_replicas_keeps_those_that_serve_until_the_new_ones_can,
    test_applying_again_replaces_no_replica,
)
from tests.lab.installed import Kubernetes, calls_of, cluster, machine, serving

APPLIED = ("Deployment", "Service", "PodDisruptionBudget")


AUTHS = base64.b64encode(b'{"auths":{}}').decode()


@pytest.fixture
async def pulling(machine: Kubernetes, namespace: str) -> tuple[str, str]:
    """The Secret by which nodes pull, in the operator's namespace."""
    meta = {"name": "pull", "namespace": namespace}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
    await machine.api.apply({**kind, "metadata": meta, "data": {".dockerconfigjson": AUTHS}}, manager="tests")
    return namespace, "pull"


async def test_what_is_observed_says_where_the_replicas_answer(cluster, machine):
    await serving(cluster, machine, replicas=2)
    now = await seen(cluster)
    host = f"fraud.{machine.namespace}.svc.cluster.local"
    assert (now.service, now.url) == (f"k8s://{host}:80", f"http://{host}")
    assert (now.desired, now.ready, now.restarts, now.outdated, now.trouble) == (2, 2, 0, 0, None)


async def test_replicas_fit_the_restricted_pod_security_standard(cluster, machine):
    """The namespace enforces it: a pod that breaks it would not be there."""
    await serving(cluster, machine)
    namespace = await machine.api.get("v1", "Namespace", None, machine.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


async def test_a_static_deployment_ends_its_replicas_first(cluster, machine):
    await serving(cluster, machine, strategy="static")
    assert machine.objects("Deployment")["fraud"]["spec"]["strategy"] == {"type": "Recreate"}


async def test_a_new_version_replaces_the_old_one(cluster, machine):
    await serving(cluster, machine, replicas=2)
    await cluster.apply(deployment(workload(machine.image("2"), "2", replicas=2), revision=2))
    await settled(cluster, ready=2, revision=2)
    assert {pod["metadata"]["labels"]["so1s.io/version"] for pod in machine.living()} == {"2"}


async def test_bounds_that_are_the_same_fix_the_number(cluster, machine):
    await serving(cluster, machine, replicas=3)
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=1), revision=2))
    await settled(cluster, ready=1, revision=2)
    assert machine.objects("HorizontalPodAutoscaler") == {}


async def test_an_autoscaler_decides_within_its_bounds(cluster, machine):
    await serving(cluster, machine, replicas=1)
    wide = workload(machine.image("1"), "1", scaling=Scaling(min_replicas=2, max_replicas=4, cpu_percent=50))
    await cluster.apply(deployment(wide, revision=2))
    await settled(cluster, ready=2, revision=2)
    await machine.patch("apps/v1", "Deployment", "fraud", {"replicas": 3})  # as an autoscaler would
    await settled(cluster, ready=3, revision=2)
    await cluster.apply(deployment(wide, revision=3))
    await settled(cluster, ready=3, revision=3)
    spec = machine.objects("HorizontalPodAutoscaler")["fraud"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)


async def test_a_version_that_finds_no_node_takes_no_replica_though_it_asks_for_fewer(cluster, machine):
    wide = Scaling(min_replicas=4, max_replicas=6, cpu_percent=50)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=wide)))
    await settled(cluster, ready=4)
    narrow = Scaling(min_replicas=1, max_replicas=2, cpu_percent=50)
    huge = Resources(cpu_millicores=200_000, memory_mib=64)
    await cluster.apply(
        deployment(workload(machine.image("2"), "2", scaling=narrow, resources=huge), revision=2)
    )
    assert await until(lambda: _trouble(cluster))
    now = await seen(cluster)
    assert (now.desired, now.ready, now.total) == (4, 4, 5)
    assert machine.objects("HorizontalPodAutoscaler")["fraud"]["spec"]["maxReplicas"] == 4
    small = workload(machine.image("3"), "3", scaling=narrow)

    async def smaller() -> bool:
        await cluster.apply(deployment(small, revision=3))
        now = await seen(cluster)
        return (now.revision, now.updated, now.total) == (3, 2, 2)

    await until(smaller)
    await cluster.apply(deployment(small, revision=3))

    def bounded() -> bool:
        autoscaler = machine.objects("HorizontalPodAutoscaler")["fraud"]
        strategy = machine.objects("Deployment")["fraud"]["spec"]["strategy"]
        found = autoscaler["spec"]["maxReplicas"], strategy["rollingUpdate"]["maxSurge"]
        return found == (2, "25%")

    await until(lambda: _is(bounded))


async def test_an_autoscaler_that_is_not_wanted_any_more_goes(cluster, machine):
    scaling = Scaling(min_replicas=1, max_replicas=4, requests_per_second=10)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    await until(lambda: _is(lambda: machine.objects("HorizontalPodAutoscaler")))
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2), revision=2))
    await settled(cluster, ready=2, revision=2)
    await until(lambda: _is(lambda: not machine.objects("HorizontalPodAutoscaler")))


async def test_a_candidate_is_there_beside_what_serves(cluster, machine):
    await serving(cluster, machine)
    await _stage(cluster, machine)
    now = await seen(cluster)
    assert (now.desired, now.updated, now.ready) == (1, 1, 2)
    assert now.url == f"http://fraud--candidate.{machine.namespace}.svc.cluster.local"
    assert now.service == f"k8s://fraud.{machine.namespace}.svc.cluster.local:80"


async def test_a_candidate_that_is_applied_takes_over(cluster, machine):
    await serving(cluster, machine)
    wanted = await _stage(cluster, machine)
    await cluster.apply(wanted)
    await settled(cluster, ready=1, revision=2)
    assert set(machine.objects("Deployment")) == {"fraud"}
    await until(lambda: _is(lambda: set(machine.objects("Service")) == {"fraud"}))


async def test_a_candidate_that_is_none_any_more_ends(cluster, machine):
    await serving(cluster, machine)
    before = machine.names()
    await _stage(cluster, machine)
    await cluster.apply(deployment(workload(machine.image("1"), "1")))
    await settled(cluster, ready=1)
    assert machine.names() == before


async def test_nothing_is_left_of_a_removed_deployment(cluster, machine):
    scaling = Scaling(min_replicas=1, max_replicas=2, cpu_percent=50)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    await settled(cluster, ready=1)
    await _stage(cluster, machine, scaling=scaling)
    await cluster.remove("risk", "fraud")
    await until(lambda: _gone(cluster))
    await until(lambda: _is(lambda: not any(map(machine.objects, machine.last._mirrors))))
    await cluster.remove("risk", "fraud")
    await cluster.remove("risk", "never-was")


async def test_an_edit_by_another_hand_is_undone(cluster, machine):
    wanted = deployment(workload(machine.image("1"), "1", replicas=2))
    await cluster.apply(wanted)
    await settled(cluster, ready=2)
    edit = {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}, "replicas": 5}
    await machine.patch("apps/v1", "Deployment", "fraud", edit)
    await until(lambda: _is(lambda: machine.objects("Deployment")["fraud"]["spec"]["replicas"] == 5))
    await cluster.apply(wanted)

    def undone() -> bool:
        spec = machine.objects("Deployment")["fraud"]["spec"]
        return (spec["strategy"]["rollingUpdate"]["maxUnavailable"], spec["replicas"]) == (0, 2)

    await until(lambda: _is(undone))
    await settled(cluster, ready=2)


async def test_what_is_there_as_wanted_is_not_applied_again(cluster, machine):
    wanted = deployment(workload(machine.image("1"), "1"))
    await cluster.apply(wanted)
    await settled(cluster, ready=1)
    await cluster.apply(wanted)
    before = {kind: machine.objects(kind)["fraud"]["metadata"]["resourceVersion"] for kind in APPLIED}
    calls = calls_of(cluster)
    await cluster.apply(wanted)
    assert calls == []
    after = {kind: machine.objects(kind)["fraud"]["metadata"]["resourceVersion"] for kind in APPLIED}
    assert after == before


async def test_a_replica_that_finds_no_node_is_told_of_and_what_served_serves(cluster, machine):
    await serving(cluster, machine)
    huge = workload(machine.image("2"), "2", resources=Resources(cpu_millicores=200_000, memory_mib=64))
    await cluster.apply(deployment(huge, revision=2))
    trouble = await until(lambda: _trouble(cluster))
    assert trouble.reason == "no_capacity"
    assert "Insufficient cpu" in trouble.message
    assert "millicores, 64 MiB would fit" in trouble.message
    assert (await seen(cluster)).ready == 1


@pytest.mark.parametrize("error", [Refused("nodes is forbidden"), TemporaryError("timed out")])
async def test_where_the_room_cannot_be_read_every_deployment_is_observed_all_the_same(
    cluster, machine, error
):
    await serving(cluster, machine)
    huge = workload(machine.image("2"), "2", resources=Resources(cpu_millicores=200_000, memory_mib=64))
    for name in ("large", "larger"):
        await cluster.apply(deployment(huge, name=name))
    looks = []

    async def read(where: str, query: dict[str, str]) -> Any:
        looks.append((where, query))
        raise error

    cluster._api.read = read

    async def told() -> dict[str, Trouble | None] | None:
        found = {each.deployment: each.trouble for each in await cluster.observe()}
        return found if found["large"] and found["larger"] else None

    found = await until(told)
    assert found["fraud"] is None
    assert "Insufficient cpu" in found["large"].message
    looked = len(looks)
    assert await told() == found
    assert len(looks) == looked, "the room is read once for each trouble"


async def test_what_a_quota_does_not_allow_is_told_of(cluster, machine):
    await serving(cluster, machine)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "1"}}}
    meta = {"name": "small", "namespace": machine.namespace}
    await machine.api.apply({**quota, "metadata": meta}, manager="somebody")
    await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=3), revision=2))
    trouble = await until(lambda: _trouble(cluster))
    assert trouble.reason == "no_capacity"
    assert "quota" in trouble.message


async def test_what_the_api_refuses_is_told_of_in_its_words(machine):
    async with machine.cluster(tolerations=[{"key": "not a key", "operator": "Exists"}]) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1")))
        now = await seen(cluster)
    assert (now.revision, now.trouble.reason) == (1, "refused")
    assert "not a key" in now.trouble.message


async def test_a_gpu_replica_asks_for_its_scheduler_and_its_gpus(machine):
    async with machine.cluster(gpu_scheduler="so1s-gpu") as cluster:
        small = Resources(cpu_millicores=100, memory_mib=64, gpus=2)
        await serving(cluster, machine, resources=small)
        [pod] = machine.living()
    assert pod["spec"]["schedulerName"] == "so1s-gpu"
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"


async def test_each_accounts_namespace_has_the_secret_by_which_nodes_pull(machine, pulling):
    async with machine.cluster(image_pull_secret=pulling) as cluster:
        await serving(cluster, machine)
        [pod] = machine.living()
    [named] = pod["spec"]["imagePullSecrets"]
    copy = await machine.api.get("v1", "Secret", machine.namespace, named["name"])
    assert copy["data"] == {".dockerconfigjson": AUTHS}


async def test_what_an_accounts_deployments_share_goes_with_the_last_one(machine, pulling):
    async def kinds():
        shared = {"ServiceAccount": "so1s-server", "Secret": "so1s-pull"}
        found = {kind: await machine.api.get("v1", kind, machine.namespace, n) for kind, n in shared.items()}
        return {kind for kind, each in found.items() if each}

    async def gone():
        return not await cluster.observe() and not await kinds()

    async with machine.cluster(image_pull_secret=pulling) as cluster:
        wanted = workload(machine.image("1"), "1")
        for name in ("fraud", "churn"):
            await cluster.apply(deployment(wanted, name=name))
        await cluster.remove("risk", "churn")
        await until(lambda: _holds_one(cluster))
        assert await kinds() == {"ServiceAccount", "Secret"}
    async with machine.cluster(image_pull_secret=pulling) as cluster:  # as after a start of the deployer
        assert await cluster.observe()
        assert await kinds() == {"ServiceAccount", "Secret"}
        await cluster.remove("risk", "fraud")
        await until(gone)
        assert await machine.api.get("v1", "Namespace", None, machine.namespace)
        await serving(cluster, machine)


async def _holds_one(cluster):
    return len(await cluster.observe()) == 1


async def test_replicas_outlive_the_adapter_and_are_found_again(machine):
    wanted = deployment(workload(machine.image("1"), "1", replicas=2))
    async with machine.cluster() as cluster:
        await cluster.apply(wanted)
        await settled(cluster, ready=2)
        before = machine.names()
    async with machine.cluster() as cluster:
        assert (await seen(cluster)).ready == 2
        await cluster.apply(wanted)
        await settled(cluster, ready=2)
        assert machine.names() == before


async def test_another_installation_in_the_same_cluster_is_none_of_ours(machine):
    async with machine.cluster() as cluster:
        await serving(cluster, machine)
        async with machine.cluster(namespace_prefix="other-") as other:
            assert await other.observe() == []


async def _stage(cluster, machine, **changes):
    """A candidate that is ready; answers it as it would be applied."""
    stable = deployment(workload(machine.image("1"), "1", **changes))
    candidate = deployment(workload(machine.image("2"), "2", **changes), revision=2)
    await cluster.apply(replace(stable, candidate=candidate))

    async def ready():
        now = await seen(cluster)
        return (now.revision, now.candidate) == (2, True) and now.updated == now.desired

    await until(ready)
    return candidate


async def _is(condition):
    return condition()


async def _gone(cluster):
    return await seen(cluster) is None


async def _trouble(cluster):
    now = await seen(cluster)
    return now and now.trouble

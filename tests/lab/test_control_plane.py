from collections.abc import AsyncGenerator
from itertools import permutations
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiException, AppsV1Api, AutoscalingV2Api, CoreV1Api, V1Pod

from so1s_lab.control_plane import ControlPlane
from so1s_lab.kwok import NodePool
from so1s_lab.scheduler import GPU_PROFILE, STOCK_PROFILE


def _containers(gpus: int = 0) -> list[dict[str, Any]]:
    # The stock profile looks at CPU and memory alone: a server asks for those in proportion to its GPUs.
    limits = {"nvidia.com/gpu": str(gpus), "cpu": str(8 * gpus)} if gpus else {}
    return [{"name": "server", "image": "example.org/server:1", "resources": {"limits": limits}}]


def _deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": "server"}
    return {
        "metadata": {"name": "server"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": _containers()}},
        },
    }


async def test_the_pods_of_a_deployment_run_on_fake_nodes(
    kubernetes: ControlPlane, namespace: str, eventually
) -> None:
    async with kubernetes.client() as api:
        apps = AppsV1Api(api)
        await apps.create_namespaced_deployment(namespace, _deployment(replicas=2))

        async def all_are_ready() -> bool:
            return (await apps.read_namespaced_deployment("server", namespace)).status.ready_replicas == 2

        await eventually(all_are_ready)
        pods = await CoreV1Api(api).list_namespaced_pod(namespace)
        assert [pod.status.phase for pod in pods.items] == ["Running"] * 2
        assert all(pod.spec.node_name.startswith("fake-") for pod in pods.items)


async def test_an_autoscaler_that_makes_no_sense_is_refused(kubernetes: ControlPlane, namespace: str) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "server"}
    backwards = {"minReplicas": 3, "maxReplicas": 1, "scaleTargetRef": target}
    async with kubernetes.client() as api:
        with pytest.raises(ApiException, match="maxReplicas") as refused:
            await AutoscalingV2Api(api).create_namespaced_horizontal_pod_autoscaler(
                namespace, {"metadata": {"name": "server"}, "spec": backwards}
            )
    assert refused.value.status == 422


class GpuPods:
    """Makes pods in a pool of two nodes of four GPUs, one after another."""

    def __init__(self, core: CoreV1Api, namespace: str, pool: NodePool, eventually) -> None:
        self.nodes = pool.nodes
        self._core = core
        self._namespace = namespace
        self._eventually = eventually
        self._spec = {"nodeSelector": pool.selector, "tolerations": pool.tolerations}

    async def make(self, name: str, *, gpus: int, profile: str) -> V1Pod:
        """The pod, once the scheduler has decided about it."""
        spec = self._spec | {"schedulerName": profile, "containers": _containers(gpus)}
        await self._core.create_namespaced_pod(self._namespace, {"metadata": {"name": name}, "spec": spec})

        async def decided() -> bool:
            pod = await self._core.read_namespaced_pod(name, self._namespace)
            return bool(pod.spec.node_name) or "Insufficient" in refusal(pod)

        await self._eventually(decided)
        return await self._core.read_namespaced_pod(name, self._namespace)


def refusal(pod: V1Pod) -> str:
    """Why the scheduler found no node."""
    said = [each.message or "" for each in pod.status.conditions or [] if each.type == "PodScheduled"]
    return " ".join(said)


@pytest.fixture
async def gpu_pods(
    kubernetes: ControlPlane, namespace: str, kwok_nodes, eventually
) -> AsyncGenerator[GpuPods]:
    pool = await kwok_nodes(2, gpus=4)
    async with kubernetes.client() as api:
        yield GpuPods(CoreV1Api(api), namespace, pool, eventually)


async def test_the_gpu_profile_fills_a_node_and_leaves_room_for_a_server_of_two_gpus(
    gpu_pods: GpuPods,
) -> None:
    ones = [await gpu_pods.make(f"one-{number}", gpus=1, profile=GPU_PROFILE) for number in range(6)]
    nodes = [pod.spec.node_name for pod in ones]
    assert sorted(map(nodes.count, gpu_pods.nodes)) == [2, 4]
    two = await gpu_pods.make("two", gpus=2, profile=GPU_PROFILE)
    assert nodes.count(two.spec.node_name) == 2


async def test_the_stock_profile_spreads_servers_so_that_none_of_two_gpus_fits(gpu_pods: GpuPods) -> None:
    ones = [await gpu_pods.make(f"one-{number}", gpus=1, profile=STOCK_PROFILE) for number in range(6)]
    nodes = [pod.spec.node_name for pod in ones]
    assert sorted(map(nodes.count, gpu_pods.nodes)) == [3, 3]
    two = await gpu_pods.make("two", gpus=2, profile=STOCK_PROFILE)
    assert "2 Insufficient nvidia.com/gpu" in refusal(two)


@pytest.mark.parametrize("order", sorted(set(permutations([2, 2, 1, 1]))), ids=str)
async def test_a_last_server_of_two_gpus_runs_whatever_the_order_of_those_before(
    gpu_pods: GpuPods, order: tuple[int, ...]
) -> None:
    for number, gpus in enumerate(order):
        await gpu_pods.make(f"server-{number}", gpus=gpus, profile=GPU_PROFILE)
    last = await gpu_pods.make("last", gpus=2, profile=GPU_PROFILE)
    assert last.spec.node_name in gpu_pods.nodes

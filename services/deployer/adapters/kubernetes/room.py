"""What is free on each node: allocatable less what its pods request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from services.deployer.adapters.kubernetes.options import Options
from services.deployer.domain.capacity import Capacity
from so1s.kubernetes import Api
from so1s.kubernetes.paths import path
from so1s.kubernetes.quantities import amount

_LIVING = "status.phase!=Succeeded,status.phase!=Failed"


async def read_room(api: Api, options: Options) -> dict[str, Capacity]:
    """What is free on each node that replicas may run on, by its name.

    Raises:
        TemporaryError: the API does not answer.
    """
    selector = ",".join(f"{name}={value}" for name, value in options.node_selector.items())
    nodes = await api.read(path("v1", "Node"), {"labelSelector": selector})
    pods = await api.read(path("v1", "Pod"), {"fieldSelector": _LIVING})
    return room(nodes["items"], pods["items"], options.gpu_resource)


def room(
    nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]], gpu_resource: str
) -> dict[str, Capacity]:
    """What is free on each node that takes pods."""
    requested: defaultdict[str, defaultdict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for pod in pods:
        for resource, much in _requests(pod):
            requested[pod["spec"].get("nodeName", "")][resource] += much
    return {
        node["metadata"]["name"]: _free(node, requested[node["metadata"]["name"]], gpu_resource)
        for node in nodes
        if not node["spec"].get("unschedulable")
    }


def _requests(pod: Mapping[str, Any]) -> Iterable[tuple[str, Fraction]]:
    for container in pod["spec"]["containers"]:
        for resource, quantity in container.get("resources", {}).get("requests", {}).items():
            yield resource, amount(quantity)


def _free(node: Mapping[str, Any], requested: Mapping[str, Fraction], gpu_resource: str) -> Capacity:
    allocatable = node["status"]["allocatable"]

    def left(resource: str) -> Fraction:
        return amount(allocatable.get(resource, "0")) - requested[resource]

    return Capacity(int(left("cpu") * 1000), int(left("memory") / 2**20), int(left(gpu_resource)))

"""What is free on each node: allocatable less what its pods request."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
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
    return room(nodes["items"], pods["items"], options)


def room(
    nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]], options: Options
) -> dict[str, Capacity]:
    """What is free on each node that takes a replica more, as far as the node alone decides."""
    requested: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pod in pods:
        requested[pod["spec"].get("nodeName", "")] += _reserved(pod["spec"])
    left = {node["metadata"]["name"]: _left(node, requested) for node in nodes if _is_open(node, options)}
    return {
        name: Capacity(each["cpu"], each["memory"] // (1000 * 2**20), each[options.gpu_resource] // 1000)
        for name, each in left.items()
        if each["pods"] > 0
    }


def _left(node: Mapping[str, Any], requested: Mapping[str, Counter[str]]) -> Counter[str]:
    left = _thousandths(node["status"]["allocatable"])
    left.subtract(requested[node["metadata"]["name"]])
    return left


def _is_open(node: Mapping[str, Any], options: Options) -> bool:
    """Whether a node takes pods at all, and those of replicas."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    taints = (each for each in node["spec"].get("taints", []) if each["effect"] != "PreferNoSchedule")
    return (
        not node["spec"].get("unschedulable")
        and conditions.get("Ready") == "True"
        and all(any(_tolerates(each, taint) for each in options.tolerations) for taint in taints)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/."""
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def _reserved(spec: Mapping[str, Any]) -> Counter[str]:
    """What a scheduler reserves for a pod, in thousandths.

    Init containers run one after the other before the rest, save those that go on beside it.
    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    beside, peak = Counter[str](), Counter[str]()
    for each in spec.get("initContainers", []):
        if each.get("restartPolicy") == "Always":
            beside += _requests(each)
        else:
            peak |= beside + _requests(each)
    running = sum((_requests(each) for each in spec["containers"]), beside)
    overhead = _thousandths(spec.get("overhead", {}))
    return Counter((running | peak) | _requests(spec)) + overhead + Counter(pods=1000)


def _requests(body: Mapping[str, Any]) -> Counter[str]:
    return _thousandths(body.get("resources", {}).get("requests", {}))


def _thousandths(quantities: Mapping[str, str]) -> Counter[str]:
    return Counter({name: math.ceil(amount(quantity) * 1000) for name, quantity in quantities.items()})

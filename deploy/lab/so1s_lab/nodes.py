"""Nodes of the cluster, and how pods choose them."""

from __future__ import annotations

from dataclasses import dataclass

from kubernetes_asyncio.client import V1Node

_POOL = "lab.so1s.dev/pool"


@dataclass(frozen=True)
class Pool:
    """Nodes that bear a label, and a taint that keeps off the pods which did not ask for them."""

    name: str

    @property
    def selector(self) -> dict[str, str]:
        """The node selector of a pod that shall run here; the nodes' labels too."""
        return {_POOL: self.name}

    @property
    def tolerations(self) -> list[dict[str, str]]:
        """What such a pod tolerates."""
        return [{**self.taint, "operator": "Equal"}]

    @property
    def taint(self) -> dict[str, str]:
        """Of the nodes."""
        return {"key": _POOL, "value": self.name, "effect": "NoSchedule"}


def takes_pods(node: V1Node) -> bool:
    """Whether pods may run; a ready node is closed until the node controller has taken its own taint off."""
    closed = any(taint.key.startswith("node.kubernetes.io/") for taint in node.spec.taints or [])
    conditions = node.status.conditions or []
    return not closed and any(each.type == "Ready" and each.status == "True" for each in conditions)

"""What an operator decides about the replicas of all accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.deployer.adapters.kubernetes.keda import Keda


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the adapter."""

    namespace_prefix: str
    """An account's namespace is this and its name."""
    cluster_domain: str
    gpu_resource: str
    """What a GPU is called among a node's resources, such as `nvidia.com/gpu`."""
    gpu_scheduler: str
    """The scheduler of replicas that reserve GPUs, which packs them; empty for the cluster's default."""
    server_variables: dict[str, str] = field(default_factory=dict)
    """Settings of inference servers."""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, Any]] = field(default_factory=list)
    image_pull_secret: tuple[str, str] | None = None
    """Namespace and name of the Secret by which nodes pull images; each account's namespace gets a copy."""
    keda: Keda | None = None
    """How autoscalers are made by KEDA; None where Prometheus Adapter serves those of the cluster itself."""
    startup_seconds: float = 120.0
    """A replica that is not ready after this is started again."""
    rollout_seconds: float = 600.0
    """Without progress for this long, a rollout counts as stuck in the cluster's own words."""
    drain_seconds: float = 5.0
    """How long a replica serves on after it began to leave the mesh."""
    grace_seconds: float = 40.0
    """From the begin of a replica's end until it is killed, the drain included."""
    unschedulable_seconds: float = 5.0
    """How long a replica may look for a node before its deployment counts as failed; as long as a node
    takes to come, where an autoscaler adds them."""
    pull_seconds: float = 25.0
    """How long pulls of an image may fail, as a kubelet tries again after 10 s: the registry may have been
    away, or the pull secret of a new namespace have come to the node after the pod."""

    def namespace(self, account: str) -> str:
        """The namespace of an account's replicas."""
        return f"{self.namespace_prefix}{account}"

    def host(self, account: str, name: str) -> str:
        """The name of a service in the cluster's DNS."""
        return f"{name}.{self.namespace(account)}.svc.{self.cluster_domain}"

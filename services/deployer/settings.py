"""What a deployer is told by its environment, each field as `SO1S_FIELD`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import psutil
from pydantic import Field, SecretStr, model_validator

from so1s.events import Resources, Scaling
from so1s.events.workload import Strategy
from so1s.settings import ServiceSettings
from so1s.supply_chain.access import RegistryAccess


class VerificationSettings(ServiceSettings, RegistryAccess):
    """Whether images are verified before they run."""

    verify_images: Literal["off", "warn", "require"] = "off"
    """`warn` says in the log which image is not verified; `require` refuses it."""
    verify_key_files: list[Path] = []
    """PEM files of public keys, as JSON: `["/etc/so1s/so1s.pub"]`. A signature by one of them is enough,
    so that a key can be replaced."""

    @model_validator(mode="after")
    def _keys_are_there(self) -> Self:
        if self.verify_images != "off" and not self.verify_key_files:
            raise ValueError("verify_key_files: allowed: at least one, where verify_images is not off")
        return self


class Settings(VerificationSettings):
    """The settings of a deployer."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - settings are read, never written
    """An SQLAlchemy URL; deployments are state, so it must be said."""
    cluster: Literal["processes", "kubernetes"] = "processes"
    """Where replicas run: as processes of this machine, or as pods."""

    unpacked_dir: Path = Path(".so1s/unpacked")
    """Images' layers, unpacked once each."""
    world_dir: Path = Path(".so1s/world")
    """Where replicas, deployments and endpoints are recorded for the mesh and the collector."""

    server_variables: dict[Annotated[str, Field(pattern="^SO1S_RUNTIME_[A-Z_]+$")], str] = {}
    """Settings of all inference servers, as JSON: `{"SO1S_RUNTIME_PAYLOAD_SINK": "http://audit/events"}`.
    Replicas that run get them on Kubernetes at once, on one machine with their next start."""

    default_strategy: Strategy = "rolling"
    default_resources: Resources = Resources()
    default_scaling: Scaling = Scaling()

    deadline_seconds: float = Field(default=120, gt=0)
    """From a request until its revision counts as failed: several starts of a large model."""
    check_deadline_seconds: float = Field(default=600, gt=0)
    """For the verdicts that a ready version waits for beside the one that serves, as the router gives one
    that is new."""
    poll_seconds: float = Field(default=1.0, gt=0)
    """How soon a change reaches the cluster that another replica recorded, and a deadline is noticed; what
    this process records or sees is looked at at once."""
    allocatable_cpu_millicores: int = Field(default_factory=lambda: 1000 * 8 * (os.cpu_count() or 1), gt=0)
    """What replicas may reserve together: eight times the cores, since a laptop's replicas mostly wait."""
    allocatable_memory_mib: int = Field(
        default_factory=lambda: int(psutil.virtual_memory().total * 0.8) // 2**20, gt=0
    )
    """Four fifths of the memory: the rest is the platform's and its user's."""
    allocatable_gpus: int = Field(default=0, ge=0)

    probe_period_seconds: float = Field(default=1.0, gt=0)
    probe_timeout_seconds: float = Field(default=1.0, gt=0)
    """A server that is not idle answers late; three in a row must miss it."""
    startup_seconds: float = Field(default=120, gt=0)
    """A process that is not ready after this is killed and started again."""
    min_ready_seconds: float = Field(default=1.0, ge=0)
    """How long a new replica serves beside the old one: Envoy's first probe of it takes a few hundredths."""
    replica_drain_seconds: float = Field(default=2.0, ge=0)
    """How long a replica serves on after the mesh was told: Envoy follows within 60 ms, Istio within a
    second, and calls end."""
    replica_grace_seconds: float = Field(default=10.0, gt=0)
    """From SIGTERM to SIGKILL, for the calls that take longer."""
    restart_first_seconds: float = Field(default=1.0, gt=0)
    """Before the second restart in a row: the first is at once, each further one waits twice as long."""
    restart_most_seconds: float = Field(default=60.0, gt=0)
    log_most_bytes: int = Field(default=4 * 2**20, gt=0)
    """Of a replica's log, before it is cut; one older part is kept."""

    autoscale_period_seconds: float = Field(default=5.0, gt=0)
    """Between decisions. Kubernetes takes 15 s; a laptop's scrapes cost little."""
    scale_down_window_seconds: float = Field(default=60.0, ge=0)
    """How long a dip must last before replicas go. Kubernetes takes 300 s."""

    autoscaling_provider: Literal["prometheus-adapter", "keda"] = "prometheus-adapter"
    """Who serves a cluster's autoscalers. Where it was KEDA and shall be no more, its ScaledObjects must be
    deleted by hand."""
    prometheus_url: str = "http://prometheus-operated.monitoring:9090"
    """Where KEDA finds what our rules record."""
    keda_authentication: str = ""
    """The ClusterTriggerAuthentication that KEDA uses there; empty for none."""

    kubeconfig: Path | None = None
    """Where the Kubernetes cluster is; the one that this pod runs in where it is absent."""
    namespace_prefix: str = Field(default="so1s-", pattern="^[a-z0-9-]{1,20}$")
    """An account's namespace is this and its name; two installations in one cluster have two prefixes."""
    cluster_domain: str = "cluster.local"
    gpu_resource: str = "nvidia.com/gpu"
    """What a GPU is called among a node's resources."""
    gpu_scheduler: str = ""
    """The scheduler of replicas that reserve GPUs, which packs them; the cluster's own where it is empty."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes that replicas may run on, as JSON."""
    tolerations: list[dict[str, Any]] = []
    """Taints that replicas bear, as JSON in Kubernetes' words."""
    image_pull_secret: str | None = Field(default=None, pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")
    """`NAMESPACE/NAME` of the Secret by which nodes pull images; each account's namespace gets a copy.
    Without one, nodes pull by their own identity."""
    unschedulable_seconds: float = Field(default=5.0, ge=0)
    """How long a replica may look for a node before its rollout fails: a scheduler needs less than one.
    Where an autoscaler adds nodes, as long as that takes."""

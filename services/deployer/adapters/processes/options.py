"""How replicas are run on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.deployer.domain.autoscaling import Behavior
from services.deployer.domain.capacity import Capacity
from services.deployer.domain.probes import ProbeRules
from services.deployer.domain.restart import Backoff


@dataclass(frozen=True, slots=True)
class Options:
    """The directories, limits and times of `cluster_processes`."""

    world: Path
    """Absolute directory of the world's files."""
    unpacked: Path
    """Where images' layers are unpacked."""
    capacity: Capacity
    """What all replicas together may reserve."""
    server_variables: dict[str, str] = field(default_factory=dict)
    """Settings of inference servers."""
    probes: ProbeRules = field(default_factory=ProbeRules)
    backoff: Backoff = field(default_factory=Backoff)
    behavior: Behavior = field(default_factory=Behavior)
    autoscale_period_seconds: float = 15.0
    min_ready_seconds: float = 1.0
    """How long the mesh must have known a ready replica before another one leaves for it, since gateways
    probe first. Kubernetes' `minReadySeconds`."""
    drain_seconds: float = 2.0
    """How long a replica serves on after the mesh was told: longer than any gateway needs to follow."""
    grace_seconds: float = 10.0
    """From SIGTERM to SIGKILL: enough for the requests in flight."""
    crash_loop_failures: int = 3
    """Processes of a replica that ended early in a row, until it counts as a crash loop."""
    log_most_bytes: int = 4 * 1024 * 1024
    """A replica's log is cut beyond this; one older part of the same size is kept."""

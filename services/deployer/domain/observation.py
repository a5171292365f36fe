"""A deployment as the cluster shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why replicas of the present revision do not come up; it may pass by itself."""

    reason: Literal["crash_loop", "no_capacity", "image", "refused"]
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What is there of one deployment."""

    account: str
    deployment: str
    revision: int
    """The one that was applied last."""
    candidate: bool
    """Whether that one takes no traffic yet."""
    desired: int
    """Replicas of the applied revision, as the autoscaler decided, or as applied."""
    updated: int
    """Ready replicas of the applied revision."""
    ready: int
    """Ready replicas of any revision."""
    total: int
    """Replicas of any revision, those that end included."""
    restarts: int
    """Of all replicas that the cluster remembers."""
    service: str
    """Where a mesh finds the replicas, as in `DeploymentReady`."""
    url: str
    """Where a replica of the applied revision answers; empty while none is ready."""
    outdated: int = 0
    """Replicas of an earlier revision that take traffic beside those of the applied one."""
    trouble: Trouble | None = None

"""A deployment as the cluster shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why replicas of the present revision do not come up; it may pass by itself."""

    reason: Literal["crash_loop", "no_capacity", "image", "refused"]
    message: str
    unscheduled: int = 0
    """Replicas that no node takes, where that is the reason."""


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
    drift: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What another hand changed of what was applied, and applying it again puts back: fields, by the kind of
    their object."""

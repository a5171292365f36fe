"""What became of each revision that a deployment ever had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.deployer.domain.recorded import Recorded
from so1s.events import DeploymentFailed, Workload

Outcome = Literal[
    "serving", "ready", "rolling out", "checking", "failed", "replaced", "superseded", "removed"
]
"""`replaced` served until a later revision did; `superseded` never did, since a later one was requested."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision in a deployment's history."""

    number: int
    workload: Workload
    requested_by: str
    requested_at: float
    """In seconds since the epoch, as all times here."""
    ready_at: float | None
    """When it could serve; None where it never could."""
    failure: DeploymentFailed | None
    """What was told of it last, where it failed."""


def outcome(entry: Entry, recorded: Recorded) -> Outcome:
    """What became of a revision, given the deployment as it is."""
    if recorded.serving and recorded.serving.number == entry.number:
        return "serving"
    if entry.number == recorded.revision:
        return recorded.status.rollout if recorded.serves_on else "removed"
    if entry.ready_at is not None:
        return "replaced"
    return "failed" if entry.failure else "superseded"

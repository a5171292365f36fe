"""What became of each revision that a deployment ever had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from services.deployer.domain.options import fitting, rescaled
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
    restores: int | None
    """The revision by which its version came, where this one goes back to it."""
    ready_at: float | None
    """When it could serve; None where it never could."""
    failure: DeploymentFailed | None
    """What was told of it last, where it failed."""

    @property
    def version(self) -> tuple[str, str]:
        """The model and its version."""
        return self.workload.model, self.workload.version


def outcome(entry: Entry, recorded: Recorded) -> Outcome:
    """What became of a revision, given the deployment as it is."""
    if recorded.serving and recorded.serving.number == entry.number:
        return "serving"
    if entry.number == recorded.revision:
        return recorded.status.rollout if recorded.serves_on else "removed"
    if entry.ready_at is not None:
        return "replaced"
    return "failed" if entry.failure else "superseded"


def rollback_target(life: Sequence[Entry]) -> int | None:
    """The revision to go back to; None where there is no earlier version.

    It is the newest one that was ready, of those that brought another version than the present one and came
    before that: what was gone back from is not gone back to. Where none was ever ready, it may be any.

    Args:
        life: the revisions since the deployment was last removed, the present one first.
    """
    present, *earlier = life
    could = [each for each in earlier if each.ready_at is not None] or earlier
    before = origin(life)
    found = (each for each in could if each.number < before and each.version != present.version)
    return next((each.number for each in found), None)


def origin(life: Sequence[Entry]) -> int:
    """The revision by which the first one's version came, however it was scaled or gone back to since."""
    version = life[0].version
    return min(each.restores or each.number for each in takewhile(lambda it: it.version == version, life))


def restored(earlier: Workload, present: Workload) -> Workload:
    """An earlier workload as it would be now: another version has the replicas that there are by now.

    Raises:
        InvalidInput: the scaling does not fit what a replica reserves.
    """
    if (earlier.model, earlier.version) == (present.model, present.version):
        return earlier
    return rescaled(earlier, fitting(present.scaling, earlier.resources))

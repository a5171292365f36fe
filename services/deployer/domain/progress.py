"""What has happened to a deployment since it was last looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.deployer.domain.gate import Gate
from services.deployer.domain.observation import Observation

Rollout = Literal["rolling out", "checking", "ready", "failed"]
Failure = Literal["deadline_exceeded", "crash_loop", "no_capacity", "image", "refused", "check_failed"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds until a wait ends in a failure."""

    rollout: float
    """For replicas that are not ready."""
    checks: float
    """For the verdicts on a candidate that is ready."""


@dataclass(frozen=True, slots=True)
class Status:
    """A deployment as it was last seen and told of."""

    revision: int
    """The desired one."""
    since: float
    """When it was requested, or was ready as a candidate, or its gate opened: the last of these, in
    seconds since the epoch."""
    least: int
    """Ready replicas that make it ready."""
    gate: Gate
    serving_revision: int = 0
    """The one whose version takes traffic; 0 where none may yet."""
    seen_revision: int = 0
    """The revision of the figures below."""
    updated: int = 0
    ready: int = 0
    desired: int = 0
    restarts: int = 0
    ready_revision: int = 0
    """The newest revision that became ready, candidates aside."""
    candidate_revision: int = 0
    """The newest revision that was ready as a candidate."""
    failed_revision: int = 0
    """The newest revision that failed."""
    withdrawn_revision: int = 0
    """The newest revision that failed its checks."""

    @property
    def withdrawn(self) -> bool:
        """Whether the revision failed its checks; a verdict that comes later still lets it through."""
        return self.gate.closed and self.withdrawn_revision == self.revision

    @property
    def rollout(self) -> Rollout:
        """How far the revision has come."""
        if self.ready_revision == self.revision:
            return "ready"
        if self.failed_revision == self.revision:
            return "failed"
        checked = self.candidate and self.candidate_revision == self.revision
        return "checking" if checked else "rolling out"

    @property
    def candidate(self) -> bool:
        """Whether the revision is to be there beside the one that serves."""
        return self.gate.closed and not self.withdrawn

    @property
    def applied_revision(self) -> int:
        """The newest revision that is to be there."""
        return self.serving_revision if self.withdrawn else self.revision


@dataclass(frozen=True, slots=True)
class Progressed:
    """A rollout moved on."""

    message: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The revision serves for the first time, or is ready as a candidate."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The revision will not serve as things are; should it serve later, `Ready` follows."""

    reason: Failure
    message: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The number of replicas is another one, outside a rollout that goes well."""

    reason: str


Transition = Progressed | Ready | Failed | Moved


def transitions(status: Status, seen: Observation, now: float, deadlines: Deadlines) -> list[Transition]:
    """What is to be told, given what was told before.

    A revision becomes ready once, when no earlier one takes traffic any more, so that who is told so is
    answered by it. That it loses replicas and gets them back later is `Moved`. One that waits for its
    checks is ready as a candidate before.
    """
    if (seen.revision, seen.candidate) != (status.applied_revision, status.candidate):
        return []  # what is recorded was not applied yet
    if status.candidate and (failed := _check_failure(status, now, deadlines)):
        return [failed]
    if seen.revision == (status.candidate_revision if status.candidate else status.ready_revision):
        return _moved(status, seen)
    if seen.updated >= status.least and not seen.outdated:
        return [Ready()]
    if status.failed_revision == status.revision:
        return _moved(status, seen)
    told: list[Transition] = _progressed(status, seen)
    failure = _failure(status, seen, now, deadlines.rollout)
    return [*told, failure] if failure else told


def _check_failure(status: Status, now: float, deadlines: Deadlines) -> Failed | None:
    if failures := status.gate.failures:
        return Failed("check_failed", "; ".join(f"{check}: {reason}" for check, reason in failures.items()))
    if status.candidate_revision != status.revision or now - status.since <= deadlines.checks:
        return None
    checks = ", ".join(status.gate.outstanding)
    return Failed("check_failed", f"{checks}: no verdict within {deadlines.checks:g} s")


def _progressed(status: Status, seen: Observation) -> list[Transition]:
    before = (status.seen_revision, status.updated, status.desired)
    if before == (seen.revision, seen.updated, seen.desired):
        return []
    return [Progressed(f"{seen.updated} of {seen.desired} replicas ready")]


def _failure(status: Status, seen: Observation, now: float, deadline_seconds: float) -> Failed | None:
    if seen.trouble:
        return Failed(seen.trouble.reason, seen.trouble.message)
    if now - status.since <= deadline_seconds:
        return None
    return Failed(
        "deadline_exceeded",
        f"{seen.updated} of {seen.desired} replicas are ready after {deadline_seconds:.0f} s",
    )


def _moved(status: Status, seen: Observation) -> list[Transition]:
    if seen.revision != status.seen_revision:
        return []  # the figures before were another revision's
    if seen.desired != status.desired:
        return [Moved(f"scaled from {status.desired} to {seen.desired}")]
    if seen.restarts > status.restarts:
        return [Moved("a replica was restarted")]
    if seen.ready < status.ready:
        return [Moved("a replica is not ready")]
    if seen.ready > status.ready:
        return [Moved("a replica became ready")]
    return []

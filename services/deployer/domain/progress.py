"""What has happened to a deployment since it was last looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.deployer.domain.observation import Observation

Failure = Literal["deadline_exceeded", "crash_loop", "no_capacity", "image"]


@dataclass(frozen=True, slots=True)
class Status:
    """A deployment as it was last seen and told of."""

    revision: int
    """The desired one."""
    requested_at: float
    """When that revision was requested, in seconds since the epoch."""
    least: int
    """Ready replicas that make it ready."""
    seen_revision: int = 0
    """The revision of the figures below."""
    updated: int = 0
    ready: int = 0
    desired: int = 0
    restarts: int = 0
    ready_revision: int = 0
    """The newest revision that became ready."""
    failed_revision: int = 0
    """The newest revision that failed."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A rollout moved on."""

    message: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The revision serves, for the first time."""


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


def transitions(status: Status, seen: Observation, now: float, deadline_seconds: float) -> list[Transition]:
    """What is to be told, given what was told before.

    A revision becomes ready once: that it loses replicas and gets them back later is `Moved`.
    """
    if seen.revision != status.revision:
        return []
    if status.ready_revision == status.revision:
        return _moved(status, seen)
    if seen.updated >= status.least:
        return [Ready()]
    if status.failed_revision == status.revision:
        return _moved(status, seen)
    told: list[Transition] = _progressed(status, seen)
    failure = _failure(status, seen, now, deadline_seconds)
    return [*told, failure] if failure else told


def _progressed(status: Status, seen: Observation) -> list[Transition]:
    before = (status.seen_revision, status.updated, status.desired)
    if before == (seen.revision, seen.updated, seen.desired):
        return []
    return [Progressed(f"{seen.updated} of {seen.desired} replicas ready")]


def _failure(status: Status, seen: Observation, now: float, deadline_seconds: float) -> Failed | None:
    if seen.trouble:
        return Failed(seen.trouble.reason, seen.trouble.message)
    if now - status.requested_at <= deadline_seconds:
        return None
    return Failed(
        "deadline_exceeded",
        f"{seen.updated} of {seen.desired} replicas are ready after {deadline_seconds:.0f} s",
    )


def _moved(status: Status, seen: Observation) -> list[Transition]:
    if seen.desired != status.desired:
        return [Moved(f"scaled from {status.desired} to {seen.desired}")]
    if seen.restarts > status.restarts:
        return [Moved("a replica was restarted")]
    if seen.ready < status.ready:
        return [Moved("a replica is not ready")]
    if seen.ready > status.ready:
        return [Moved("a replica became ready")]
    return []

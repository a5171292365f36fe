"""The events that tell of a deployment's transitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.deployer.domain.observation import Observation
from services.deployer.domain.progress import Failed, Moved, Progressed, Ready, Transition
from services.deployer.domain.recorded import Recorded
from so1s.events import DeploymentFailed, DeploymentProgressed, DeploymentReady, Event, ReplicasChanged


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event, and what makes its id: the same transition is announced once."""

    event: Event
    generation: int
    transition: str
    figures: dict[str, Any]
    """What is recorded of it."""

    @property
    def is_end(self) -> bool:
        """Whether it is what those who asked for the revision wait for."""
        match self.event:
            case DeploymentReady():
                return not self.event.candidate
            case DeploymentFailed():
                return True
        return False


def announce(
    recorded: Recorded, seen: Observation, transition: Transition, now: datetime, log_tail: list[str]
) -> Announcement:
    """The event of a transition.

    Args:
        recorded: the deployment.
        seen: as it is now.
        transition: what happened to it.
        now: when it was seen.
        log_tail: the last lines that its replicas wrote.
    """
    names: dict[str, Any] = {
        "account": recorded.account,
        "deployment": recorded.name,
        "revision": seen.revision,
    }
    match transition:
        case Ready():
            return _ready(recorded, seen, now)
        case Failed(reason, message):
            failed = DeploymentFailed(**names, reason=reason, message=message, log_tail=log_tail)
            return _failed(failed)
        case Progressed(message):
            event = DeploymentProgressed(**names, ready=seen.updated, desired=seen.desired, message=message)
            return Announcement(event, recorded.told + 1, "progressed", {"told": recorded.told + 1})
        case Moved(reason):
            event = ReplicasChanged(
                **names,
                ready=seen.ready,
                desired=seen.desired,
                restarts=seen.restarts,
                reason=reason,
                observed_at=now,
            )
            return Announcement(event, recorded.told + 1, "moved", {"told": recorded.told + 1})


def _ready(recorded: Recorded, seen: Observation, now: datetime) -> Announcement:
    revision, candidate = recorded.revision, recorded.status.candidate
    seconds = max(0.0, now.timestamp() - recorded.requested_at)
    ready = recorded.ready(seen.updated, seen.service, seen.url, seconds, candidate=candidate)
    if candidate:
        figures = {"candidate_revision": revision, "since": now.timestamp()}
        return Announcement(ready, revision, "candidate", figures)
    figures = {"ready_revision": revision}
    if recorded.serving or not recorded.gate.outstanding:
        figures["serving_revision"] = revision
    return Announcement(ready, revision, "ready", figures)


def _failed(failed: DeploymentFailed) -> Announcement:
    figures = {"failed_revision": failed.revision, "failure": failed.model_dump_json()}
    if failed.reason != "check_failed":
        return Announcement(failed, failed.revision, "failed", figures)
    figures["withdrawn_revision"] = failed.revision
    return Announcement(failed, failed.revision, "check_failed", figures)


def figures(seen: Observation) -> dict[str, Any]:
    """What is recorded of an observation, whether it is told or not."""
    return {
        "seen_revision": seen.revision,
        "updated": seen.updated,
        "ready": seen.ready,
        "desired": seen.desired,
        "restarts": seen.restarts,
        "service": seen.service,
        "url": seen.url,
    }

"""What becomes of an upload: the events of its chain, told as steps and an end.

published → built → ready → serving
               ↘        ↘        ↘
          BuildFailed  DeploymentFailed  RoutesRejected
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from so1s import events
from so1s.errors import So1sError
from so1s.events import Event
from so1s.events.envelope import Received

TOLD_BY: tuple[type[Event], ...] = (
    events.ModelUploaded,
    events.BuildStepFinished,
    events.ImageBuilt,
    events.BuildFailed,
    events.DeploymentReady,
    events.DeploymentFailed,
    events.CheckFinished,
    events.RoutesApplied,
    events.RoutesRejected,
)
"""The events that a flow is made of."""
ENDED_BY = tuple(each for each in TOLD_BY if each not in {events.ModelUploaded, events.BuildStepFinished})
"""Those of them that say how it ended."""


@dataclass(frozen=True)
class Step:
    """Something that was reached."""

    name: str
    """`published`, `built`, `ready`, `checked` or `serving`."""
    detail: str
    seconds: float
    """Since the upload was published, by the clocks of those who reached it."""


@dataclass(frozen=True)
class Serving:
    """The end that was hoped for."""

    url: str | None
    """Where the version answers; None where nothing was to be deployed."""
    revision: int | None
    """Of the endpoint's route; None where there is no endpoint."""


class FlowFailed(So1sError):
    """An upload will not serve; `event` is the one that says so."""

    def __init__(self, message: str, event: Event, log_tail: list[str] | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {line}" for line in log_tail or [])]))
        self.event = event
        self.log_tail = log_tail or []


class BuildFailed(FlowFailed):
    """The version did not become an image; the message ends with the log's last lines."""


class DeploymentFailed(FlowFailed):
    """The replicas did not become ready; the message ends with the log's last lines."""


class RoutesRejected(FlowFailed):
    """The route was refused, or a required check failed."""


@dataclass(frozen=True)
class Flow:
    """How far an upload has come."""

    model: str
    version: str
    began: datetime | None = None
    steps: tuple[Step, ...] = ()
    end: Serving | FlowFailed | None = None
    dependencies: str = ""
    """What the build said of its dependencies."""
    ready: events.DeploymentReady | None = None
    passed: frozenset[str] = field(default_factory=frozenset)
    """The checks that passed."""

    def after(self, received: Received[Any]) -> Flow:
        """The flow once an event of its chain happened; an event that it is not made of changes nothing.

        The last end counts: a failure ends each service's part, but not what others still do in the chain.
        """
        event, began = received.event, self.began or received.time
        flow = replace(self, began=began)
        reached = _STEPS.get(type(event))
        seconds = (received.time - began).total_seconds() if received.time and began else 0.0
        return reached(flow, event, max(seconds, 0.0)) if reached else flow

    def reached(self, name: str, detail: str, seconds: float, **changes: Any) -> Flow:
        """The flow with one more step."""
        return replace(self, steps=(*self.steps, Step(name, detail, seconds)), **changes)

    def after_all(self, received: Iterable[Received[Any]]) -> Flow:
        """The flow once events happened, which may have come in any order."""
        flow = self
        for each in in_order(received):
            flow = flow.after(each)
        return flow

    @property
    def may_be_tried_again(self) -> bool:
        """Whether it failed for a reason that may be gone: not so where a later upload took its place."""
        if not isinstance(self.end, FlowFailed):
            return False
        return getattr(self.end.event, "reason", "") != "superseded"

    @property
    def last(self) -> str:
        """The step that was reached last; empty where none was."""
        return self.steps[-1].name if self.steps else ""


def in_order(received: Iterable[Received[Any]]) -> list[Received[Any]]:
    """Events in the order in which they happened: by their times, none before its cause, as clocks differ."""
    known = {each.id: each for each in received}

    def moment(each: Received[Any], later: frozenset[str] = frozenset()) -> tuple[float, int, float]:
        own = each.time.timestamp() if each.time else 0.0
        cause = known.get(each.cause_id)
        if cause is None or cause.id in later | {each.id}:  # a stranger may say that it caused itself
            return own, 0, own
        at, depth, _ = moment(cause, later | {each.id})
        return max(own, at), depth + 1, own

    return sorted(received, key=moment)


def _published(flow: Flow, event: events.ModelUploaded, seconds: float) -> Flow:
    if flow.last:
        return flow  # a retry said it again
    return flow.reached("published", f"{event.model}@{event.version}", seconds)


def _build_step(flow: Flow, event: events.BuildStepFinished, _seconds: float) -> Flow:
    return replace(flow, dependencies=event.detail) if event.step == "dependencies" else flow


def _built(flow: Flow, event: events.ImageBuilt, seconds: float) -> Flow:
    said = f" ({flow.dependencies})" if flow.dependencies else ""
    end = Serving(None, None) if event.deploy is None else None
    warned = "".join(f"; warning: {each}" for each in event.warnings)
    return flow.reached("built", f"{event.image.digest[:15]}…{said}{warned}", seconds, end=end)


def _ready(flow: Flow, event: events.DeploymentReady, seconds: float) -> Flow:
    end = None if event.endpoint or event.candidate else Serving(event.url, None)
    if flow.ready and flow.ready.candidate:
        return replace(flow, ready=event, end=end or flow.end)  # it takes traffic now
    detail = f"{event.deployment}, {event.replicas} {'replica' if event.replicas == 1 else 'replicas'}"
    return flow.reached("ready", detail, seconds, end=end, ready=event)


def _checked(flow: Flow, event: events.CheckFinished, seconds: float) -> Flow:
    passed = flow.passed | {event.check} if event.passed else flow.passed - {event.check}
    verdict = "passed" if event.passed else "failed"
    return flow.reached("checked", f"{event.check} {verdict}: {event.reason}", seconds, passed=passed)


def _applied(flow: Flow, event: events.RoutesApplied, seconds: float) -> Flow:
    if flow.ready is None or set(flow.ready.requires) - flow.passed:
        return flow  # on the route at weight 0, until its checks passed
    if flow.last == "serving":
        return flow  # the route moved on
    rests = event.weights.get(flow.ready.deployment) == 0
    detail = f"{event.url}/predict" + (", at weight 0: other variants answer" if rests else "")
    return flow.reached("serving", detail, seconds, end=Serving(event.url, event.revision))


def _build_failed(flow: Flow, event: events.BuildFailed, _seconds: float) -> Flow:
    step = f" at step {event.step}" if event.step else ""
    message = f"{event.verdict}: {event.reason}{step}: {event.message}"
    return replace(flow, end=BuildFailed(message, event, event.log_tail))


def _deployment_failed(flow: Flow, event: events.DeploymentFailed, _seconds: float) -> Flow:
    message = f"deployment {event.deployment} failed: {event.reason}: {event.message}"
    return replace(flow, end=DeploymentFailed(message, event, event.log_tail))


def _rejected(flow: Flow, event: events.RoutesRejected, _seconds: float) -> Flow:
    message = f"the route of {event.endpoint} stays as it was: {event.field}: {event.value} is not allowed; "
    return replace(flow, end=RoutesRejected(message + event.allowed, event))


_STEPS: dict[type[Event], Any] = {
    events.ModelUploaded: _published,
    events.BuildStepFinished: _build_step,
    events.ImageBuilt: _built,
    events.BuildFailed: _build_failed,
    events.DeploymentReady: _ready,
    events.DeploymentFailed: _deployment_failed,
    events.CheckFinished: _checked,
    events.RoutesApplied: _applied,
    events.RoutesRejected: _rejected,
}

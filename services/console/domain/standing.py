"""What stands: an account's builds, deployments, endpoints and incidents, as events tell them.

Each type of event tells one aspect of a subject, and of an aspect the newest event counts, in whatever order
they come: so a repetition or a late event changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from so1s.events import (
    BuildFailed,
    DeploymentFailed,
    DeploymentProgressed,
    DeploymentReady,
    DeploymentRemoved,
    DeploymentRequested,
    EndpointRemoved,
    Event,
    ImageBuilt,
    IncidentOpened,
    IncidentResolved,
    ModelUploaded,
    ReplicasChanged,
    RoutesApplied,
    RoutesDegraded,
    VariantInUse,
)
from so1s.events.envelope import Received

GONE = ("DeploymentRemoved", "EndpointRemoved", "IncidentResolved")
"""The aspects by which a subject ends."""
REFUSED = "Refused:"
"""How the aspects begin by which a request is known to have been refused; see `refusal_of`."""

_KINDS: Mapping[type[Event], str] = {
    ModelUploaded: "model",
    ImageBuilt: "model",
    BuildFailed: "model",
    DeploymentRequested: "deployment",
    DeploymentProgressed: "deployment",
    DeploymentReady: "deployment",
    DeploymentFailed: "deployment",
    ReplicasChanged: "deployment",
    DeploymentRemoved: "deployment",
    VariantInUse: "deployment",
    RoutesApplied: "endpoint",
    RoutesDegraded: "endpoint",
    EndpointRemoved: "endpoint",
    IncidentOpened: "incident",
    IncidentResolved: "incident",
}
_CANDIDATE = "Candidate"


@dataclass(frozen=True)
class Aspect:
    """What an event tells something of."""

    kind: str
    subject: str
    name: str


@dataclass(frozen=True)
class Told:
    """The newest event of an aspect."""

    event: Any
    at: float
    """When it happened, in seconds since the epoch."""
    id: str
    correlation_id: str


Subject = Mapping[str, Told]
"""What is told of a subject, by aspect."""


def aspect_of(received: Received) -> Aspect | None:
    """What an event tells something of; None where that stands nowhere."""
    event = received.event
    kind = _KINDS.get(type(event))
    if kind is None:
        return None
    name = type(event).__name__
    if isinstance(event, DeploymentFailed) and not event.revision:
        name = refusal_of(received.cause_id)
    if isinstance(event, DeploymentReady) and event.candidate:
        name = _CANDIDATE
    return Aspect(kind, event.key.partition("/")[2], name)


def refusal_of(request_id: str) -> str:
    """The aspect that tells of the refusal of one request, so that another refusal does not hide it."""
    return REFUSED + hashlib.sha256(request_id.encode()).hexdigest()[:32]


def view(account: str, told: Iterable[tuple[Aspect, Told]]) -> dict[str, Any]:
    """How an account stands, as `so1s status` shows it."""
    subjects: dict[str, dict[str, dict[str, Told]]] = defaultdict(lambda: defaultdict(dict))
    for aspect, each in told:
        subjects[aspect.kind][aspect.subject][aspect.name] = each
    of = {"account": account}
    deployments = [
        of | _deployment(name, each) for name, each in sorted(subjects["deployment"].items()) if _lasts(each)
    ]
    serving: dict[str, Any] = {each["deployment"]: each["serving"] for each in deployments if each["serving"]}
    uses = {name: use for name, each in subjects["deployment"].items() if (use := _use(_present(each)))}
    endpoints = [
        of | _endpoint(each, serving, uses)
        for _, each in sorted(subjects["endpoint"].items())
        if "RoutesApplied" in _present(each)
    ]
    incidents = [of | _incident(each) for _, each in sorted(subjects["incident"].items()) if _lasts(each)]
    builds = [of | build for _, each in sorted(subjects["model"].items()) for build in _builds(each)]
    return of | {
        "builds": builds,
        "deployments": deployments,
        "endpoints": endpoints,
        "incidents": incidents,
        "warnings": _warnings(subjects["model"].values(), deployments),
    }


def _lasts(told: Subject) -> bool:
    """Whether anything was told of a subject since its last end."""
    return bool(_present(told))


def _present(told: Subject) -> dict[str, Told]:
    """What was told since the subject's last end: what came to an end is another one when it begins again.

    A request that was refused changes nothing.
    """
    ended = max((each.at for name, each in told.items() if name in GONE), default=0.0)
    return {
        name: each
        for name, each in told.items()
        if name not in GONE
        and not name.startswith(REFUSED)
        and not (name == "DeploymentRequested" and refusal_of(each.id) in told)
        and each.at > ended
    }


def _deployment(name: str, told: Subject) -> dict[str, Any]:
    present = _present(told)
    ready, failed = present.get("DeploymentReady"), present.get("DeploymentFailed")
    state, revision = _rollout(present)
    wanted = _wanted(present)
    desired, running, restarts = _replicas(present)
    failure = {"reason": failed.event.reason, "message": failed.event.message} if failed else None
    return {
        "deployment": name,
        "revision": revision,
        "serving": _serving(ready.event) if ready else None,
        "state": "retiring" if _use(present) else state,
        **wanted,
        "desired": desired,
        "ready": running,
        "restarts": restarts,
        "failure": failure if state == "failed" else None,
    }


def _rollout(present: Subject) -> tuple[str, int]:
    """How far the newest revision has come, and which one that is."""
    words = {
        "DeploymentProgressed": "rolling out",
        _CANDIDATE: "checking",
        "DeploymentFailed": "failed",
        "DeploymentReady": "ready",
    }
    known = [(each.event.revision, each.at, name) for name, each in present.items() if name in words]
    if not known:
        return "rolling out", 0
    newest = max(revision for revision, _, _ in known)
    ends = [each for each in known if each[0] == newest and each[2] != "DeploymentProgressed"]
    _, _, name = max(ends or known)
    return words[name], newest


def _use(present: Subject) -> VariantInUse | None:
    """Why a deployment is still there that is to go; None where none is to, or a later revision is wanted."""
    used = present.get("VariantInUse")
    return used.event if used and used.event.revision >= _rollout(present)[1] else None


def _wanted(present: Subject) -> dict[str, Any]:
    """The version that a deployment is to serve, and where."""
    found = [(each.at, _what(each.event)) for name, each in present.items() if name in _WANTED]
    return (
        max(found, key=lambda each: each[0])[1] if found else {"model": "", "version": "", "endpoint": None}
    )


_WANTED = ("DeploymentRequested", "DeploymentReady", _CANDIDATE)


def _what(event: DeploymentRequested | DeploymentReady) -> dict[str, Any]:
    said = event.workload if isinstance(event, DeploymentRequested) else event
    return {"model": said.model, "version": said.version, "endpoint": said.endpoint}


def _serving(ready: DeploymentReady) -> dict[str, Any]:
    return {"revision": ready.revision, "model": ready.model, "version": ready.version}


def _replicas(present: Subject) -> tuple[int, int, int]:
    """Replicas wanted, ready and restarted, as far as was told last."""
    counts = [(each.at, *_count(each.event)) for name, each in present.items() if name in _COUNTED]
    _, desired, ready = max(counts, default=(0.0, 0, 0))
    changed = present.get("ReplicasChanged")
    return desired, ready, changed.event.restarts if changed else 0


_COUNTED = ("DeploymentProgressed", "DeploymentReady", "ReplicasChanged")


def _count(event: DeploymentProgressed | DeploymentReady | ReplicasChanged) -> tuple[int, int]:
    if isinstance(event, DeploymentReady):
        return event.replicas, event.replicas
    return event.desired, event.ready


def _endpoint(told: Subject, serving: Mapping[str, Any], uses: Mapping[str, VariantInUse]) -> dict[str, Any]:
    present = _present(told)
    applied: RoutesApplied = present["RoutesApplied"].event
    degraded = present.get("RoutesDegraded")
    return {
        "endpoint": applied.endpoint,
        "host": applied.host,
        "url": applied.url,
        "removed": False,
        "revision": applied.revision,
        "applied": degraded is None or degraded.event.revision <= applied.revision,
        "variants": [
            _variant(name, weight, serving.get(name))
            | {"in_use": _reason(uses.get(name), applied.endpoint) if weight else None}
            for name, weight in sorted(applied.weights.items())
        ],
        "waits": [],
    }


def _variant(name: str, weight: int, serving: Mapping[str, Any] | None) -> dict[str, Any]:
    """A variant, as far as events tell of it: which checks hinder one is known by the router alone."""
    version = {
        "model": serving["model"] if serving else None,
        "version": serving["version"] if serving else None,
    }
    return {"variant": name, "weight": weight, "state": "attached", **version, "checks": {}}


def _reason(use: VariantInUse | None, endpoint: str) -> str | None:
    return use.reason if use and use.endpoint == endpoint else None


def _builds(told: Subject) -> list[dict[str, Any]]:
    """The newest upload that is not answered yet, and the newest failure since the last image."""
    uploaded, built, failed = (told.get(name) for name in ("ModelUploaded", "ImageBuilt", "BuildFailed"))
    found = []
    if uploaded and not any(_answers(each, uploaded) for each in (built, failed) if each):
        found.append(_build(uploaded, "under way", None, ""))
    if failed and failed.event.reason != "cancelled" and (built is None or failed.at > built.at):
        event: BuildFailed = failed.event
        state = "refused" if event.reason in {"invalid", "version_conflict"} else "failed"
        found.append(_build(failed, state, event.reason, event.message))
    return found


def _answers(end: Told, uploaded: Told) -> bool:
    return end.correlation_id == uploaded.correlation_id or end.at > uploaded.at


def _build(told: Told, state: str, reason: str | None, message: str) -> dict[str, Any]:
    named = {"model": told.event.model, "version": told.event.version}
    return named | {"state": state, "reason": reason, "message": message, "queued_at": _time(told.at)}


def _warnings(models: Iterable[Subject], deployments: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """What the newest image of a model is to be known by, where its version has a deployment."""
    serve = {(each["model"], each["version"]) for each in deployments}
    images = [told["ImageBuilt"].event for told in models if "ImageBuilt" in told]
    return [
        {"version": f"{image.model}@{image.version}", "warning": warning}
        for image in images
        if (image.model, image.version) in serve
        for warning in image.warnings
    ]


def _incident(told: Subject) -> dict[str, Any]:
    opened: IncidentOpened = told["IncidentOpened"].event
    shown = {"incident", "rule", "severity", "subject", "summary"}
    return opened.model_dump(include=shown) | {
        "state": "open",
        "opened_at": _time(opened.opened_at.timestamp()),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

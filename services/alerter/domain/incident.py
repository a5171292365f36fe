"""The life of an incident: opened, updated, resolved."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from typing import Literal

from services.alerter.domain.subject import Subject
from so1s.events.incident import Severity

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://so1s.dev/incidents")


Outcome = Literal["resolved", "closed"]
"""`closed` where nothing can say any more whether all is well."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, in words for people."""

    rule: str
    severity: Severity
    subject: Subject
    headline: str
    """Such as `fraud-next is unavailable`."""
    observed: str
    """Such as `0 %: 51 of 51 requests failed`."""
    allowed: str
    """What the rule asks for, such as `at least 95 %, judged over 30 s`; empty where it asks for nothing."""
    hint: str
    """A command that shows more."""
    began_at: datetime
    at: datetime
    """When it was found."""
    log_tail: tuple[str, ...] = ()
    watched: bool = False
    """Windows tell when it is over; otherwise an event does."""

    @property
    def key(self) -> str:
        """Names the problem: at most one incident of a key is open."""
        return incident_key(self.rule, self.subject)


@dataclass(frozen=True)
class Incident:
    """One problem, as it stands."""

    id: str
    finding: Finding
    """The latest, or the worst; `began_at` and `at` are the first one's."""
    revision: int = 1
    """Counts the changes that are to be told."""
    resolved_at: datetime | None = None
    """When health came back."""
    outcome: Outcome = "resolved"
    resolution: str = ""
    """Such as `100 %: 0 of 48 requests failed`."""


@dataclass(frozen=True)
class Entry:
    """One line of an incident's history: a reply in its thread."""

    incident: str
    revision: int
    """The incident's that it tells of."""
    at: datetime
    text: str
    """Slack's mrkdwn."""


def incident_key(rule: str, subject: Subject) -> str:
    """Names a problem: `risk/availability/endpoint/fraud/variant/fraud-next`."""
    return f"{subject.account}/{rule}/{subject.key}"


def open_incident(finding: Finding) -> tuple[Incident, Entry | None]:
    """A new incident; its id is derived, so that the same finding opens the same one."""
    name = f"{finding.key}\x1f{finding.at.isoformat()}"
    incident = Incident(uuid.uuid5(_NAMESPACE, name).hex[:12], finding)
    return incident, _log_entry(incident, finding)


def update_incident(incident: Incident, finding: Finding) -> tuple[Incident, Entry]:
    """The same problem was found again, or worse than it was told."""
    kept = replace(finding, began_at=incident.finding.began_at, at=incident.finding.at)
    updated = replace(incident, finding=kept, revision=incident.revision + 1)
    text = f"Now {excerpt(finding.observed)}" + _code(finding.log_tail)
    return updated, Entry(incident.id, updated.revision, finding.at, text)


def resolve_incident(
    incident: Incident, at: datetime, outcome: Outcome, resolution: str
) -> tuple[Incident, Entry]:
    """The problem is over since `at`, for the reason or by the figures of `resolution`."""
    at = max(at, incident.finding.began_at)
    revision = incident.revision + 1
    resolved = replace(incident, revision=revision, resolved_at=at, outcome=outcome, resolution=resolution)
    text = f"{outcome.capitalize()} after {lasted(incident.finding.began_at, at)}: {excerpt(resolution)}"
    return resolved, Entry(incident.id, resolved.revision, at, text)


def lasted(begin: datetime, end: datetime) -> str:
    """How long it took, for people: `1 h 4 min`."""
    return duration((end - begin).total_seconds())


def duration(seconds: float) -> str:
    """A span in its two largest units: `1 h 4 min`, `42 s`."""
    rest = max(0, round(seconds))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, size)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2]) or "0 s"


def mrkdwn(text: str) -> str:
    """Foreign text inside Slack's markup: its three control characters are escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def excerpt(text: str) -> str:
    """Foreign text inside Slack's markup, cut to what a field holds: escaping makes it longer."""
    lengths = accumulate(len(mrkdwn(character)) for character in text[:_LONGEST_EXCERPT])
    fitting = sum(length < _LONGEST_EXCERPT for length in lengths)
    return mrkdwn(text) if len(text) <= fitting else mrkdwn(text[:fitting]) + "…"


def _log_entry(incident: Incident, finding: Finding) -> Entry | None:
    if not finding.log_tail:
        return None
    text = "The end of the log:" + _code(finding.log_tail)
    return Entry(incident.id, incident.revision, finding.at, text)


_LONGEST_EXCERPT = 1900
"""Characters; a field of a section holds 2000, its name included."""
_LONGEST_LOG = 2500
"""Characters; a section of a Slack message holds 3000."""


def _code(lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    log = "\n".join(lines).replace("```", "'''")[-_LONGEST_LOG:]
    return f"\n```\n{mrkdwn(log)}\n```"

"""Incidents: one open problem each."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from so1s.events.event import Event

Severity = Literal["warning", "critical"]


class IncidentOpened(Event, key=("account", "incident")):
    """A rule's condition holds."""

    incident: str
    rule: str
    subject: str
    """What is affected, such as `endpoint fraud, variant fraud-next`."""
    severity: Severity
    summary: str
    opened_at: AwareDatetime


class IncidentResolved(Event, key=("account", "incident")):
    """The condition holds no more."""

    incident: str
    rule: str
    subject: str
    summary: str
    opened_at: AwareDatetime
    resolved_at: AwareDatetime

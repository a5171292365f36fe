"""What happens to incidents: each change, its line of history and its event in one transaction."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import ColumnElement

from services.alerter import store
from services.alerter.domain import findings
from services.alerter.domain.incident import (
    Finding,
    Incident,
    Outcome,
    incident_key,
    open_incident,
    resolve_incident,
    update_incident,
)
from services.alerter.domain.readings import Reading
from services.alerter.domain.rules import Rule, Rulebook
from services.alerter.domain.subject import Subject
from services.alerter.domain.watch import Span, Turn, Watch, judge
from services.alerter.store import incidents
from so1s.events import IncidentOpened, IncidentResolved
from so1s.events.ids import transition_id
from so1s.store import Transaction

log = structlog.get_logger()


async def hold(
    tx: Transaction, rulebook: Rulebook, rule: Rule, subject: Subject, *, span: Span, reading: Reading
) -> None:
    """Hold what was read of a part of the platform against a rule, and let its incident follow."""
    key = incident_key(rule.name, subject)
    watch = (await store.load_watches(tx, [key])).get(key, Watch())
    watch, turn = judge(watch, rule, span, reading, rulebook.pause)
    await store.save_watches(tx, {key: watch})
    if turn is not None:
        await follow(tx, turn, findings.platform_trouble(rule, subject, turn))


async def follow(tx: Transaction, turn: Turn, finding: Finding) -> None:
    """Let the incident of a watched condition follow a turn of it."""
    if turn.kind == "resolved":
        await resolve(tx, finding.key, turn.since, turn.reading.observed)
    else:
        await report(tx, finding)


async def report(tx: Transaction, finding: Finding) -> None:
    """Open the incident of a finding, or update the one that is open.

    Good news may overtake the bad news that it answers, since they come by different topics: a
    failure from before its subject's last recovery opens nothing.
    """
    if not finding.watched and await _is_outdated(tx, finding):
        return
    known = await store.open_incidents(tx, incidents.c.open_key == finding.key)
    if known:
        await store.save_incident(tx, *update_incident(known[0], finding))
        return
    incident, entry = open_incident(finding)
    await store.save_incident(tx, incident, entry)
    tx.emit(_opened(incident), id=transition_id("alerter", incident.id, incident.revision, "opened"))
    log.warning("incident opened", incident=incident.id, rule=finding.rule, headline=finding.headline)


async def recover(tx: Transaction, subject: Subject, at: datetime, resolution: str) -> None:
    """An event says that a subject is well: resolve what earlier events said against it."""
    await store.save_recovery(tx, f"{subject.account}/{subject.key}", at)
    of_subject = (incidents.c.account == subject.account, incidents.c.subject == subject.key)
    for incident in await store.open_incidents(tx, *of_subject, incidents.c.watched.is_(False)):
        if incident.finding.at <= at:
            await _resolve(tx, incident, at, "resolved", resolution)


async def resolve(tx: Transaction, key: str, at: datetime, resolution: str) -> None:
    """A watched condition is over."""
    for incident in await store.open_incidents(tx, incidents.c.open_key == key):
        await _resolve(tx, incident, at, "resolved", resolution)


async def withdraw(
    tx: Transaction, resolution: str, *conditions: ColumnElement[bool], at: datetime | None = None
) -> None:
    """What was watched is there no more: close the incidents and begin their watches anew.

    Args:
        tx: the open transaction.
        resolution: why, such as `the deployment was removed`.
        conditions: on the columns of `incidents`.
        at: when; now where it is absent.
    """
    found = await store.open_incidents(tx, *conditions)
    await store.drop_watches(tx, [incident.finding.key for incident in found])
    for incident in found:
        await _resolve(tx, incident, at or tx.now, "closed", resolution)


async def _resolve(
    tx: Transaction, incident: Incident, at: datetime, outcome: Outcome, resolution: str
) -> None:
    resolved, entry = resolve_incident(incident, at, outcome, resolution)
    await store.save_incident(tx, resolved, entry)
    event_id = transition_id("alerter", resolved.id, resolved.revision, "resolved")
    tx.emit(_resolved(resolved, entry.at), id=event_id)
    log.info("incident resolved", incident=resolved.id, rule=resolved.finding.rule, resolution=resolution)


async def _is_outdated(tx: Transaction, finding: Finding) -> bool:
    recovered = await store.last_recovery(tx, f"{finding.subject.account}/{finding.subject.key}")
    return recovered is not None and finding.at < recovered


def _opened(incident: Incident) -> IncidentOpened:
    finding = incident.finding
    return IncidentOpened(
        account=finding.subject.account,
        incident=incident.id,
        rule=finding.rule,
        subject=finding.subject.text,
        severity=finding.severity,
        summary=f"{finding.headline}: {finding.observed}",
        opened_at=finding.at,
    )


def _resolved(incident: Incident, at: datetime) -> IncidentResolved:
    finding = incident.finding
    return IncidentResolved(
        account=finding.subject.account,
        incident=incident.id,
        rule=finding.rule,
        subject=finding.subject.text,
        summary=incident.resolution,
        opened_at=finding.at,
        resolved_at=at,
    )

"""The alerter's tables: watches, incidents with their history, authors' rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Float,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerter.domain.incident import Entry, Incident
from services.alerter.domain.rules import Rule
from services.alerter.domain.watch import Watch
from services.alerter.ports import Mark, Posted
from so1s.store import Transaction, upsert

metadata = MetaData()

watches = Table(
    "watches",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("state", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("spoke_at", Float, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(12), primary_key=True),
    # Of an open incident alone, so that a problem has at most one.
    Column("open_key", String(255), unique=True),
    Column("account", String(20), nullable=False),
    Column("rule", String(40), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("endpoint", String(40)),
    Column("deployment", String(40)),
    Column("watched", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float),  # when its end was recorded
    # What Slack shows.
    Column("revision", Integer, nullable=False),
    Column("told_revision", Integer, nullable=False, server_default="0"),
    Column("channel", String(63)),
    Column("ts", String(63)),
    Column("attempted_at", Float),
)

entries = Table(
    "entries",
    metadata,
    Column("incident", String(12), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("attempted_at", Float),
)

author_rules = Table(
    "author_rules",
    metadata,
    Column("key", String(63), primary_key=True),  # ACCOUNT/DEPLOYMENT
    Column("revision", Integer, nullable=False),
    Column("rules", Text, nullable=False),
)

recoveries = Table(
    "recoveries",
    metadata,
    Column("key", String(255), primary_key=True),  # ACCOUNT/SUBJECT
    Column("at", Float, nullable=False),
)

_incident = TypeAdapter(Incident)
_entry = TypeAdapter(Entry)
_rules = TypeAdapter(list[Rule])


async def load_watches(tx: Transaction, keys: Collection[str]) -> dict[str, Watch]:
    """The watches of these keys, as far as there are any."""
    rows = await tx.execute(
        select(watches.c.key, watches.c.state).where(watches.c.key.in_(keys)).with_for_update()
    )
    return {row.key: Watch.model_validate_json(row.state) for row in rows}


async def save_watches(tx: Transaction, changed: Mapping[str, Watch]) -> None:
    """Keep watches."""
    rows = [
        {
            "key": key,
            "state": watch.model_dump_json(),
            "open": watch.open,
            "spoke_at": (watch.spoke_at or watch.seen_until or tx.now).timestamp(),
        }
        for key, watch in changed.items()
    ]
    if rows:
        await upsert(tx, watches, rows, keys=["key"], update=["state", "open", "spoke_at"])


async def drop_watches(tx: Transaction, keys: Collection[str]) -> None:
    """Begin anew with these."""
    await tx.execute(delete(watches).where(watches.c.key.in_(keys)))


async def silent_watches(tx: Transaction, before: datetime) -> list[str]:
    """The keys of watches of which no window has spoken since; those without an incident are dropped."""
    old = watches.c.spoke_at < before.timestamp()
    await tx.execute(delete(watches).where(old, watches.c.open.is_(False)))
    rows = await tx.execute(select(watches.c.key).where(old))
    return [row.key for row in rows]


async def open_incidents(tx: Transaction, *conditions: ColumnElement[bool]) -> list[Incident]:
    """The open incidents that meet conditions on the columns of `incidents`."""
    query = select(incidents.c.state).where(incidents.c.open_key.is_not(None), *conditions)
    rows = await tx.execute(query.order_by(incidents.c.opened_at).with_for_update())
    return [_incident.validate_json(row.state) for row in rows]


async def save_incident(tx: Transaction, incident: Incident, entry: Entry | None) -> None:
    """Keep an incident as it stands, and one line of its history."""
    finding = incident.finding
    row = {
        "id": incident.id,
        "open_key": finding.key if incident.resolved_at is None else None,
        "account": finding.subject.account,
        "rule": finding.rule,
        "subject": finding.subject.key,
        "endpoint": finding.subject.endpoint,
        "deployment": finding.subject.deployment,
        "watched": finding.watched,
        "state": _incident.dump_json(incident).decode(),
        "opened_at": finding.at.timestamp(),
        "closed_at": tx.now.timestamp() if incident.resolved_at else None,
        "revision": incident.revision,
    }
    await upsert(tx, incidents, row, keys=["id"], update=["open_key", "state", "closed_at", "revision"])
    if entry is not None:
        line = {"incident": entry.incident, "revision": entry.revision, "told": False}
        line["state"] = _entry.dump_json(entry).decode()
        await upsert(tx, entries, line, keys=["incident", "revision"])


async def listed(connection: AsyncConnection, account: str, limit: int) -> list[Incident]:
    """An account's incidents, the latest first."""
    query = select(incidents.c.state).where(incidents.c.account == account)
    rows = await connection.execute(query.order_by(incidents.c.opened_at.desc()).limit(limit))
    return [_incident.validate_json(row.state) for row in rows]


async def rules_of_authors(tx: Transaction, keys: Collection[str]) -> dict[str, list[Rule]]:
    """The authors' rules of deployments, by `ACCOUNT/DEPLOYMENT`."""
    rows = await tx.execute(select(author_rules).where(author_rules.c.key.in_(keys)))
    return {row.key: _rules.validate_json(row.rules) for row in rows}


async def save_author_rules(tx: Transaction, key: str, revision: int, rules: list[Rule]) -> bool:
    """Keep the rules of a deployment's revision; False where a later revision's are known."""
    if await ready_revision(tx, key) > revision:
        return False
    row = {"key": key, "revision": revision, "rules": _rules.dump_json(rules).decode()}
    await upsert(tx, author_rules, row, keys=["key"], update=["revision", "rules"])
    return True


async def ready_revision(tx: Transaction, key: str) -> int:
    """The latest revision of a deployment that became ready, as far as is known; 0 where none did."""
    query = select(author_rules.c.revision).where(author_rules.c.key == key).with_for_update()
    return (await tx.execute(query)).scalar_one_or_none() or 0


async def drop_author_rules(tx: Transaction, key: str) -> None:
    """Forget the rules of a deployment."""
    await tx.execute(delete(author_rules).where(author_rules.c.key == key))


async def save_recovery(tx: Transaction, key: str, at: datetime) -> None:
    """Remember when a subject, as `ACCOUNT/SUBJECT`, was last well."""
    if (known := await last_recovery(tx, key)) is None or known < at:
        await upsert(tx, recoveries, {"key": key, "at": at.timestamp()}, keys=["key"], update=["at"])


async def last_recovery(tx: Transaction, key: str) -> datetime | None:
    """When a subject was last well, if ever."""
    at = (await tx.execute(select(recoveries.c.at).where(recoveries.c.key == key))).scalar_one_or_none()
    return None if at is None else datetime.fromtimestamp(at, UTC)


@dataclass(frozen=True)
class Untold:
    """An incident whose message or thread is behind its state."""

    incident: Incident
    told_revision: int
    posted: Posted | None
    attempted_at: datetime | None
    """When its message was first tried, so that it may be there although `posted` is unknown."""
    replies: list[UntoldReply]


@dataclass(frozen=True)
class UntoldReply:
    """An entry that is not in the thread, or is not known to be."""

    entry: Entry
    attempted: bool


async def untold(connection: AsyncConnection) -> list[Untold]:
    """What is still to be told, the oldest incident first."""
    waiting = select(entries).where(entries.c.told.is_(False)).order_by(entries.c.revision)
    replies: dict[str, list[UntoldReply]] = defaultdict(list)
    for row in await connection.execute(waiting):
        reply = UntoldReply(_entry.validate_json(row.state), row.attempted_at is not None)
        replies[row.incident].append(reply)
    behind = or_(incidents.c.told_revision < incidents.c.revision, incidents.c.id.in_(list(replies)))
    rows = await connection.execute(select(incidents).where(behind).order_by(incidents.c.opened_at))
    return [_untold(row, replies[row.id]) for row in rows]


async def mark_attempt(tx: Transaction, mark: Mark) -> None:
    """Record that a message or reply is about to be sent for the first time."""
    table, where = _place(mark)
    await tx.execute(update(table).where(*where).values(attempted_at=tx.now.timestamp()))


async def mark_posted(tx: Transaction, incident: str, posted: Posted, revision: int) -> None:
    """Record where an incident's message is, and what it shows."""
    place = {"channel": posted.channel, "ts": posted.ts, "told_revision": revision}
    await tx.execute(update(incidents).where(incidents.c.id == incident).values(place))


async def mark_replied(tx: Transaction, mark: Mark) -> None:
    """Record that an entry is in the thread."""
    table, where = _place(mark)
    await tx.execute(update(table).where(*where).values(told=True))


async def give_up(tx: Transaction, incident: str, revision: int) -> None:
    """Record that an incident's message is gone: nothing of it is told up to this revision."""
    of_it = (entries.c.incident == incident, entries.c.revision <= revision)
    await tx.execute(update(entries).where(*of_it).values(told=True))
    await tx.execute(update(incidents).where(incidents.c.id == incident).values(told_revision=revision))


def _place(mark: Mark) -> tuple[Table, list[ColumnElement[bool]]]:
    if not mark.reply:
        return incidents, [incidents.c.id == mark.incident]
    return entries, [entries.c.incident == mark.incident, entries.c.revision == mark.reply]


def _untold(row: Row, replies: list[UntoldReply]) -> Untold:
    return Untold(
        incident=_incident.validate_json(row.state),
        told_revision=row.told_revision,
        posted=Posted(row.channel, row.ts) if row.ts else None,
        attempted_at=datetime.fromtimestamp(row.attempted_at, UTC) if row.attempted_at else None,
        replies=replies,
    )

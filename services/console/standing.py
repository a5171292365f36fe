"""What stands, as the newest event of each aspect of each subject tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console.domain.standing import GONE, REFUSED, Aspect, Told, aspect_of, refusal_of, view
from services.console.tables import standing
from so1s.events.codec import unwrap
from so1s.events.envelope import Received
from so1s.events.event import event_class
from so1s.events.structured import written
from so1s.store import Transaction
from so1s.store.upsert import insert

_KEYS = ("account", "kind", "subject", "aspect")


async def remember(tx: Transaction, batch: Sequence[Received]) -> None:
    """Keep of each aspect the newest event."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for received in sorted(batch, key=lambda each: each.time or tx.now):
        if aspect := aspect_of(received):
            # A clock that is ahead must not make this the newest event for ever.
            row = _row(aspect, received, min(received.time or tx.now, tx.now).timestamp())
            rows[tuple(row[name] for name in _KEYS)] = row
    if not rows:
        return
    statement = insert(standing, tx.connection.dialect.name)
    said = statement.excluded
    newer = statement.on_conflict_do_update(
        index_elements=list(_KEYS), set_={"at": said.at, "event": said.event}, where=said.at > standing.c.at
    )
    await tx.execute(newer, [rows[key] for key in sorted(rows)])


async def read(connection: AsyncConnection, account: str) -> dict[str, Any]:
    """How an account stands; see `view`."""
    rows = await connection.execute(select(standing).where(standing.c.account == account))
    return view(account, [_told(row) for row in rows])


async def prune(tx: Transaction, days: float) -> None:
    """Forget the subjects that came to their end longer ago."""
    horizon = tx.now.timestamp() - days * 86_400
    ended = select(standing).where(standing.c.aspect.in_(GONE), standing.c.at < horizon)
    for row in (await tx.execute(ended)).all():
        subject = and_(*(standing.c[name] == getattr(row, name) for name in ("account", "kind", "subject")))
        await tx.execute(delete(standing).where(subject, standing.c.at <= row.at))
    refused = select(standing).where(standing.c.aspect.startswith(REFUSED), standing.c.at < horizon)
    for row in (await tx.execute(refused)).all():
        await _forget_refused(tx, row)


async def _forget_refused(tx: Transaction, refusal: Any) -> None:
    """Forget a refusal, and with it the request, which would count again without it."""
    subject = and_(*(standing.c[name] == getattr(refusal, name) for name in ("account", "kind", "subject")))
    requests = select(standing).where(subject, standing.c.aspect == "DeploymentRequested")
    told = [_told(row) for row in (await tx.execute(requests)).all()]
    gone = [refusal.aspect, *(aspect.name for aspect, each in told if refusal_of(each.id) == refusal.aspect)]
    await tx.execute(delete(standing).where(subject, standing.c.aspect.in_(gone)))


def _row(aspect: Aspect, received: Received, at: float) -> dict[str, Any]:
    return {
        "account": received.event.account,
        "kind": aspect.kind,
        "subject": aspect.subject,
        "aspect": aspect.name,
        "at": at,
        "event": written(received),
    }


def _told(row: Any) -> tuple[Aspect, Told]:
    envelope = unwrap((), row.event.encode())
    received = envelope.open(event_class(envelope.type))
    told = Told(received.event, row.at, received.id, received.correlation_id)
    return Aspect(row.kind, row.subject, row.aspect), told

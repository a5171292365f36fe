"""The inbox: which events were handled, and how often the others were tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.store.tables import inbox
from so1s.store.upsert import insert


@dataclass(frozen=True)
class Attempt:
    """Where an event stands."""

    number: int
    """1 at the first attempt."""
    handled: bool


async def attempt(connection: AsyncConnection, source: str, event_id: str, now: datetime) -> Attempt:
    """Count an attempt."""
    statement = insert(inbox, connection.dialect.name).values(
        source=source, event_id=event_id, attempts=1, received_at=now.timestamp()
    )
    statement = statement.on_conflict_do_update(
        index_elements=["source", "event_id"], set_={"attempts": inbox.c.attempts + 1}
    ).returning(inbox.c.attempts, inbox.c.handled_at)
    row = (await connection.execute(statement)).one()
    return Attempt(row.attempts, handled=row.handled_at is not None)


async def forgive(connection: AsyncConnection, source: str, event_id: str) -> None:
    """Take an attempt back."""
    await connection.execute(
        update(inbox).where(*_is(source, event_id)).values(attempts=inbox.c.attempts - 1)
    )


async def forget(connection: AsyncConnection, source: str, event_id: str) -> None:
    """Drop an event that is not handled."""
    await connection.execute(delete(inbox).where(*_is(source, event_id), inbox.c.handled_at.is_(None)))


async def mark_handled(connection: AsyncConnection, source: str, event_id: str, now: datetime) -> bool:
    """Enter an event as handled; False where another replica was faster."""
    statement = (
        update(inbox)
        .where(*_is(source, event_id), inbox.c.handled_at.is_(None))
        .values(handled_at=now.timestamp())
    )
    return (await connection.execute(statement)).rowcount == 1


async def mark_new(
    connection: AsyncConnection, names: Sequence[tuple[str, str]], now: datetime
) -> set[tuple[str, str]]:
    """Enter a batch of (source, id) as handled; answers which of them were not there before."""
    at = now.timestamp()
    rows = [
        {"source": source, "event_id": event_id, "attempts": 1, "received_at": at, "handled_at": at}
        for source, event_id in dict.fromkeys(names)
    ]
    if not rows:
        return set()
    statement = insert(inbox, connection.dialect.name).on_conflict_do_nothing()
    written = await connection.execute(statement.returning(inbox.c.source, inbox.c.event_id), rows)
    return {(row.source, row.event_id) for row in written}


async def prune(connection: AsyncConnection, horizon: float) -> None:
    """Forget what was received before `horizon`, in seconds since the epoch."""
    await connection.execute(delete(inbox).where(inbox.c.received_at < horizon))


def _is(source: str, event_id: str) -> tuple:
    return inbox.c.source == source, inbox.c.event_id == event_id

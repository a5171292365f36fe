"""The inbox: which events were handled or buried, and how often the others were tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.store.tables import inbox
from so1s.store.upsert import insert

_OPEN = and_(inbox.c.handled_at.is_(None), inbox.c.buried_at.is_(None))
_KEYS = ["source", "event_id"]


@dataclass(frozen=True)
class Attempt:
    """Where an event stands."""

    number: int
    """1 at the first attempt."""
    settled: bool
    """It was handled or buried before."""


async def attempt(connection: AsyncConnection, source: str, event_id: str, now: datetime) -> Attempt:
    """Count an attempt."""
    values = {"source": source, "event_id": event_id, "attempts": 1, "received_at": now.timestamp()}
    row = (await connection.execute(_counting(connection.dialect.name), values)).one()
    return Attempt(row.attempts, settled=row.handled_at is not None or row.buried_at is not None)


async def forgive(connection: AsyncConnection, source: str, event_id: str) -> None:
    """Take an attempt back."""
    await connection.execute(update(inbox).where(_is(source, event_id)).values(attempts=inbox.c.attempts - 1))


async def revive(connection: AsyncConnection, source: str, event_id: str) -> None:
    """Let a buried event begin again; one that was handled, or is being tried, stays as it is."""
    await connection.execute(delete(inbox).where(_is(source, event_id), inbox.c.buried_at.is_not(None)))


async def forget(connection: AsyncConnection, source: str, event_id: str) -> None:
    """Drop what is being tried."""
    await connection.execute(delete(inbox).where(_is(source, event_id), _OPEN))


async def mark_handled(connection: AsyncConnection, source: str, event_id: str, now: datetime) -> bool:
    """Enter an event as handled; False where another replica was faster."""
    return await _settle(connection, _HANDLING, source, event_id, now)


async def mark_buried(connection: AsyncConnection, source: str, event_id: str, now: datetime) -> bool:
    """Enter an event as buried; False where another replica was faster."""
    return await _settle(connection, _BURYING, source, event_id, now)


async def mark_new(
    connection: AsyncConnection, names: Sequence[tuple[str, str]], now: datetime
) -> set[tuple[str, str]]:
    """Enter a batch of (source, id) as handled; answers which of them were not settled before."""
    at = now.timestamp()
    rows = [
        {"source": source, "event_id": event_id, "attempts": 1, "received_at": at, "handled_at": at}
        for source, event_id in dict.fromkeys(names)
    ]
    if not rows:
        return set()
    written = await connection.execute(_entering(connection.dialect.name), rows)
    return {(source, event_id) for source, event_id in written}


async def prune(connection: AsyncConnection, horizon: float) -> None:
    """Forget what was received before `horizon`, in seconds since the epoch."""
    await connection.execute(delete(inbox).where(inbox.c.received_at < horizon))


@cache  # to build a statement takes longer than to run it
def _counting(dialect: str) -> Any:
    statement = insert(inbox, dialect).on_conflict_do_update(
        index_elements=_KEYS, set_={"attempts": inbox.c.attempts + 1}
    )
    return statement.returning(inbox.c.attempts, inbox.c.handled_at, inbox.c.buried_at)


@cache
def _entering(dialect: str) -> Any:
    statement = insert(inbox, dialect)
    statement = statement.on_conflict_do_update(
        index_elements=_KEYS, set_={"handled_at": statement.excluded.handled_at}, where=_OPEN
    )
    return statement.returning(inbox.c.source, inbox.c.event_id)


async def _settle(
    connection: AsyncConnection, settling: Any, source: str, event_id: str, now: datetime
) -> bool:
    values = {"of_source": source, "of_event_id": event_id, "at": now.timestamp()}
    return (await connection.execute(settling, values)).rowcount == 1


def _is(source: Any, event_id: Any) -> ColumnElement[bool]:
    return and_(inbox.c.source == source, inbox.c.event_id == event_id)


_SETTLING = update(inbox).where(_is(bindparam("of_source"), bindparam("of_event_id")), _OPEN)
_HANDLING = _SETTLING.values(handled_at=bindparam("at"))
_BURYING = _SETTLING.values(buried_at=bindparam("at"))

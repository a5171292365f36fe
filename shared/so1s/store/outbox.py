"""The outbox: events that were recorded with the state they speak of, on their way to Kafka."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.events.envelope import Record
from so1s.metrics import PUBLISHED
from so1s.store.engine import Database
from so1s.store.tables import outbox
from so1s.store.upsert import upsert

_PAGE = 500
_WAITING = select(outbox).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.position).limit(_PAGE)


class Sender(Protocol):
    """What takes records to Kafka."""

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in their order; return when Kafka has all of them."""


class Outbox:
    """The events of one store that are not yet sent."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()

    async def add(self, connection: AsyncConnection, records: Sequence[Record], *, now: datetime) -> None:
        """Record events in an open transaction; those whose ids are known already are left out."""
        if records:
            rows = [_row(record, now) for record in records]
            await upsert(connection, outbox, rows, keys=["event_id"])

    async def flush(self, sender: Sender) -> int:
        """Send everything that waits, oldest first, and answer how many events that were."""
        sent = 0
        async with self._lock:  # one at a time, or the order would be lost
            while page := await self._page():
                await sender.send([_record(row) for row in page])
                await self._mark_sent([row.position for row in page])
                _count(page)
                sent += len(page)
        return sent

    async def depth(self) -> int:
        """How many events wait."""
        waiting = select(func.count()).where(outbox.c.sent_at.is_(None))
        async with self._database.reading() as connection:
            return (await connection.execute(waiting)).scalar_one()

    async def prune(self, connection: AsyncConnection, horizon: float) -> None:
        """Forget what was sent before `horizon`, in seconds since the epoch."""
        await connection.execute(delete(outbox).where(outbox.c.sent_at < horizon))

    async def _page(self) -> Sequence[Row]:
        async with self._database.reading() as connection:
            return (await connection.execute(_WAITING)).all()

    async def _mark_sent(self, positions: Sequence[int]) -> None:
        statement = update(outbox).where(outbox.c.position.in_(positions)).values(sent_at=time.time())
        async with self._database.writing() as connection:
            await connection.execute(statement)


def _count(sent: Sequence[Row]) -> None:
    for topic, events in Counter(row.topic for row in sent).items():
        PUBLISHED.labels(topic).inc(events)


def _row(record: Record, now: datetime) -> dict:
    return {
        "event_id": record.event_id,
        "topic": record.topic,
        "key": record.key,
        "headers": json.dumps([(name, _latin(value)) for name, value in record.headers]).encode(),
        "value": record.value,
        "created_at": now.timestamp(),
    }


def _record(row: Row) -> Record:
    headers = [(name, _bytes(value)) for name, value in json.loads(row.headers)]
    return Record(row.event_id, row.topic, row.key, headers, row.value)


def _latin(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")

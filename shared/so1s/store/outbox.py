"""The outbox: events that were recorded with the state they speak of, on their way to Kafka.

What Kafka refuses (too large for its topic, no permission, no such topic) is set aside, with when and why,
and is tried again with growing pauses, so that it leaves once an operator mended the cause: a few at a time,
since Kafka refuses whatever comes with it, and each is then sent by itself. Everything else goes on, later
events of the same key too: consumers rely on no order (a revision tells what is stale), and to hold up all
that is said of a key for one event would lose more than its place.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy import Row, Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.errors import Refused
from so1s.events.envelope import Record
from so1s.metrics import PUBLISHED
from so1s.store.engine import Database, whole
from so1s.store.tables import outbox
from so1s.store.upsert import upsert

log = structlog.get_logger()

_PAGE = 500
_TRIED_AGAIN = 10
"""Few: whoever has something new to send waits for them."""
_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 300.0
_DOUBLINGS = 9  # 1 s doubled so often is over the longest
_UNSENT = outbox.c.sent_at.is_(None)
_REFUSED = outbox.c.refused_at.is_not(None)
_FRESH = select(outbox).where(_UNSENT, ~_REFUSED).order_by(outbox.c.position).limit(_PAGE)
_AGAIN = (
    select(outbox)
    .where(_UNSENT, _REFUSED)
    .order_by(outbox.c.refusals, outbox.c.position)  # the likeliest to be taken first
    .limit(_TRIED_AGAIN)
)
_DEPTH = select(func.count(), func.count(outbox.c.refused_at)).where(_UNSENT)


class Depth(NamedTuple):
    """Of the events that are not sent: how many there are, and how many of them Kafka refuses."""

    unsent: int
    refused: int


class Sender(Protocol):
    """What takes records to Kafka."""

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in their order; return when Kafka has all of them.

        Raises:
            Refused: Kafka will not have some of them; it has all the others.
        """


class Outbox:
    """The events of one store that are not yet sent."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = asyncio.Lock()

    async def add(self, connection: AsyncConnection, records: Sequence[Record], *, now: datetime) -> None:
        """Record events in an open transaction; those whose ids are known already are left out."""
        if records:
            rows = [_row(record, now) for record in records]
            await upsert(connection, outbox, rows, keys=["event_id"])

    async def flush(self, sender: Sender) -> int:
        """Send everything that waits and was not refused, oldest first; answers how many events that were."""
        sent = 0
        async with self._lock:  # one at a time, or the order would be lost
            is_full = True
            while is_full:
                page = await self._page(_FRESH)
                sent += await whole(self._send_page(sender, page)) if page else 0
                is_full = len(page) == _PAGE  # what came meanwhile is sent by whoever said it
        return sent

    async def retry(self, sender: Sender) -> int:
        """Send what was refused and is due again, until some is refused anew; answers how many were taken."""
        sent, is_taken = 0, True
        while is_taken:
            async with self._lock:
                page = await self._page(_AGAIN.where(outbox.c.retry_at <= self._clock().timestamp()))
                taken = await whole(self._send_page(sender, page)) if page else 0
            sent += taken
            is_taken = 0 < taken == len(page)
        return sent

    async def depth(self) -> Depth:
        """How many events are not sent; a replica with nothing to do asks nothing else of its store."""
        async with self._database.reading() as connection:
            return Depth(*(await connection.execute(_DEPTH)).one())

    async def refusals(self, event_ids: Sequence[str]) -> Sequence[str]:
        """Why Kafka refuses some of these events; empty where it refuses none."""
        these = select(outbox.c.refusal).where(_UNSENT, _REFUSED, outbox.c.event_id.in_(event_ids))
        async with self._database.reading() as connection:
            return (await connection.execute(these)).scalars().all()

    async def prune(self, connection: AsyncConnection, horizon: float) -> None:
        """Forget what was sent before `horizon`, in seconds since the epoch."""
        await connection.execute(delete(outbox).where(outbox.c.sent_at < horizon))

    async def _page(self, waiting: Select) -> Sequence[Row]:
        async with self._database.reading() as connection:
            return (await connection.execute(waiting)).all()

    async def _send_page(self, sender: Sender, page: Sequence[Row]) -> int:
        """Send events and record what became of them; answers how many Kafka took.

        Whoever is cancelled in between would send them again.
        """
        errors = await _send(sender, page)
        refused = [row for row in page if row.event_id in errors]
        taken = [row for row in page if row.event_id not in errors]
        async with self._database.singly() as connection:
            await self._mark_sent(connection, taken)
            await self._set_aside(connection, refused, errors)
        _count(taken)
        return len(taken)

    async def _mark_sent(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        positions = [row.position for row in rows]
        sent = update(outbox).where(outbox.c.position.in_(positions))
        await connection.execute(sent.values(sent_at=self._clock().timestamp()))

    async def _set_aside(
        self, connection: AsyncConnection, rows: Sequence[Row], errors: Mapping[str, Exception]
    ) -> None:
        now = self._clock().timestamp()
        for row in rows:
            changes = _refusal(row, str(errors[row.event_id]), now)
            await connection.execute(
                update(outbox).where(outbox.c.position == row.position).values(**changes)
            )


async def _send(sender: Sender, page: Sequence[Row]) -> Mapping[str, Exception]:
    """Send a page; answers the errors of what Kafka refuses, by event id."""
    try:
        await sender.send([_record(row) for row in page])
    except Refused as error:
        return error.errors
    return {}


def _refusal(row: Row, reason: str, now: float) -> dict[str, Any]:
    if not row.refusals:
        log.error(
            "Kafka refuses an event; it is kept and tried again, the others go on",
            topic=row.topic,
            event_id=row.event_id,
            reason=reason,
        )
    pause = min(_FIRST_RETRY_SECONDS * 2 ** min(row.refusals, _DOUBLINGS), _LONGEST_RETRY_SECONDS)
    return {"refusals": row.refusals + 1, "refused_at": now, "refusal": reason, "retry_at": now + pause}


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

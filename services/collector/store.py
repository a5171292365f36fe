"""How far each subject was sampled, and what its source said then."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.collector.domain.counters import Reading, Shown
from services.collector.domain.steps import Cursor
from so1s.store import Transaction, upsert

metadata = MetaData()

_SHOWN = TypeAdapter(Shown)

cursors = Table(
    "collector_cursors",
    metadata,
    Column("subject", String(128), primary_key=True),  # `replica/UID`, `gateway/CLUSTER`, `scrapes/GATEWAY`
    Column("sampled_until_ms", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),  # the subject's end is known, and corrected where it had to be
    Column("read_at_ms", BigInteger, nullable=False),
    Column("epoch", String(128), nullable=False),
    Column("counters", Text, nullable=False),  # JSON object of integers
    Column("shown", Text, nullable=False),  # JSON object with `at_ms`, or null: what the source knew then
)


async def all_cursors(connection: AsyncConnection) -> dict[str, Cursor]:
    """Every cursor, by subject."""
    rows = await connection.execute(select(cursors))
    return {
        row.subject: Cursor(
            row.sampled_until_ms,
            Reading(
                row.read_at_ms,
                json.loads(row.counters),
                epoch=row.epoch,
                shown=_shown(row.shown, row.read_at_ms),
            ),
            row.ended,
        )
        for row in rows
    }


def _stored(reading: Reading) -> str:
    return json.dumps(reading.shown and {"at_ms": reading.at_ms} | asdict(reading.shown))


def _shown(text: str, read_at_ms: int) -> Shown | None:
    """What was shown of a reading's moment.

    A collector of before the column moves the reading on without it, where it leads after a rollback or in an
    upgrade: compared with what was shown before, all that it counted would be counted again.
    """
    stored: dict[str, Any] = json.loads(text) or {}
    return _SHOWN.validate_python(stored) if stored.pop("at_ms", None) == read_at_ms else None


async def sampled_until(connection: AsyncConnection) -> int | None:
    """How far anything was sampled; None where nothing was yet."""
    return await connection.scalar(select(func.max(cursors.c.sampled_until_ms)))


async def advance(tx: Transaction, subject: str, before: Cursor | None, after: Cursor) -> bool:
    """Move a cursor on; False where another replica of the collector has moved it meanwhile."""
    values = {
        "sampled_until_ms": after.sampled_until_ms,
        "ended": after.ended,
        "read_at_ms": after.last.at_ms,
        "epoch": after.last.epoch,
        "counters": json.dumps(dict(after.last.counters)),
        "shown": _stored(after.last),
    }
    if before is None:
        return await upsert(tx, cursors, {"subject": subject, **values}, keys=["subject"]) == 1
    unmoved = (cursors.c.subject == subject, cursors.c.sampled_until_ms == before.sampled_until_ms)
    return (await tx.execute(update(cursors).where(*unmoved).values(**values))).rowcount == 1


async def forget(tx: Transaction, subjects: Iterable[str]) -> None:
    """Drop the cursors of subjects that are no more."""
    await tx.execute(delete(cursors).where(cursors.c.subject.in_(list(subjects))))

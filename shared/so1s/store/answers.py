"""Answers that are owed: whoever asks for what takes a while is told how it ended.

Several chains may ask for the same thing while it is under way. Each is owed an answer of its own, caused by
the event that asked. A promise is a row of the transaction in which the event is handled, and goes in the
transaction in which the answer is given: so none is lost, and none is given twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.events.envelope import Cause
from so1s.store.tables import answers
from so1s.store.transaction import Transaction
from so1s.store.upsert import upsert


@dataclass(frozen=True, slots=True)
class Answer:
    """One event's, about one subject."""

    subject: str
    """What is waited for, such as `risk/fraud`."""
    revision: int
    """The first one of the subject that has in it what the event asked for."""
    since: float
    """When the event asked, in seconds since the epoch."""
    cause: Cause
    """The event that asked."""
    request: str
    """What it asked for, where the answer depends on that."""


async def promise(
    tx: Transaction, subject: str, revision: int, *, request: str = "", cause: Cause | None = None
) -> None:
    """Owe an event an answer, once a revision of the subject, or a later one, came to its end.

    Args:
        tx: the transaction.
        subject: what is waited for.
        revision: the first one that has in it what the event asked for.
        request: what it asked for, where the answer depends on that.
        cause: the event; the one in hand where it is absent.
    """
    asked = cause or tx.cause
    assert asked is not None, "an answer has a cause"
    about = {"subject": subject, "revision": revision, "since": tx.now.timestamp(), "request": request}
    await upsert(tx, answers, about | asdict(asked), keys=("subject", "event_id"), update=("revision",))


async def take(tx: Transaction, subject: str, revision: int) -> list[Answer]:
    """Take what is owed up to a revision off the list, the oldest first; whoever takes it gives it."""
    these = (answers.c.subject == subject, answers.c.revision <= revision)
    gone = await tx.execute(delete(answers).where(*these).returning(*answers.c))
    return [_answer(row) for row in sorted(gone, key=lambda row: row.position)]


async def due(connection: AsyncConnection) -> Mapping[str, Sequence[Answer]]:
    """All that is owed, by subject, the oldest first."""
    found: dict[str, list[Answer]] = defaultdict(list)
    for row in await connection.execute(select(answers).order_by(answers.c.position)):
        found[row.subject].append(_answer(row))
    return found


def _answer(row: Row) -> Answer:
    cause = Cause(row.event_id, row.correlation_id, row.traceparent)
    return Answer(row.subject, row.revision, row.since, cause, row.request)

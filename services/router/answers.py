"""Queries on answers that are due: who is told once a route is applied.

Each event that changed a route is owed one, and so is each that found the route as it wanted it. The route of
a later revision answers them all, since it has their changes in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.domain.endpoint import Endpoint
from services.router.tables import answers, endpoints
from so1s.events.envelope import Cause
from so1s.store import Transaction, upsert


@dataclass(frozen=True)
class Answer:
    """One event's, about one endpoint."""

    account: str
    endpoint: str
    revision: int
    """The first one of the route that has in it what the event wanted."""
    since: float
    cause: Cause


async def promise(tx: Transaction, endpoint: Endpoint) -> None:
    """Owe the event in hand an answer, once the endpoint's present route is applied."""
    assert tx.cause
    row = {
        "account": endpoint.account,
        "endpoint": endpoint.name,
        "revision": endpoint.revision,
        "since": tx.now.timestamp(),
    }
    await upsert(
        tx, answers, row | asdict(tx.cause), keys=("account", "endpoint", "event_id"), update=("revision",)
    )


async def any_in_time(connection: AsyncConnection) -> bool:
    """Whether one is owed of which it is not said that its route is late."""
    of_endpoint = and_(answers.c.account == endpoints.c.account, answers.c.endpoint == endpoints.c.endpoint)
    owed = select(answers.c.event_id).join(endpoints, of_endpoint)
    in_time = owed.where(endpoints.c.degraded < endpoints.c.revision).limit(1)
    return (await connection.execute(in_time)).first() is not None


async def due(connection: AsyncConnection) -> Mapping[tuple[str, str], Sequence[Answer]]:
    """All answers that are owed, the oldest first, by account and endpoint."""
    found: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for row in await connection.execute(select(answers).order_by(answers.c.since, answers.c.revision)):
        cause = Cause(row.event_id, row.correlation_id, row.traceparent)
        answer = Answer(row.account, row.endpoint, row.revision, row.since, cause)
        found[row.account, row.endpoint].append(answer)
    return found


async def take(tx: Transaction, answer: Answer) -> bool:
    """Take an answer off what is owed; False where it is off already."""
    this = (answers.c.account == answer.account, answers.c.endpoint == answer.endpoint)
    gone = await tx.execute(delete(answers).where(*this, answers.c.event_id == answer.cause.event_id))
    return gone.rowcount == 1

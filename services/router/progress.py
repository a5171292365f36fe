"""Queries on how far routes have come in the world, and which variants wait for a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Row, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import store
from services.router.domain.endpoint import Endpoint
from services.router.tables import cause_of, endpoints, routes, variants
from so1s.events.envelope import Cause
from so1s.store import Transaction, answers
from so1s.store.answers import Answer
from so1s.store.tables import answers as owed


@dataclass(frozen=True)
class Course:
    """An endpoint's newest route, and how far it has come."""

    endpoint: Endpoint
    degraded: int
    """The newest revision of which it was said that not every gateway answers with it."""
    changed_by: str
    decided_at: float
    cause: Cause
    answers: tuple[Answer, ...]
    """What is owed once every gateway answers with it."""

    @property
    def pending(self) -> bool:
        """Whether somebody waits until every gateway answers with it."""
        return bool(self.answers)

    @property
    def since(self) -> float:
        """When the newest revision began to be waited for."""
        newest = [each.since for each in self.answers if each.revision == self.endpoint.revision]
        return min(newest, default=self.decided_at)

    @property
    def late(self) -> bool:
        """Whether it is said that the deadline of the newest revision passed."""
        return self.degraded == self.endpoint.revision


@dataclass(frozen=True)
class Member:
    """A variant of an endpoint that waits for something."""

    account: str
    endpoint: str
    deployment: str
    revision: int
    cause: Cause

    @classmethod
    def of(cls, row: Row) -> Self:
        """A row of the variants."""
        return cls(row.account, row.endpoint, row.deployment, row.revision, cause_of(row))


async def any_in_time(connection: AsyncConnection) -> bool:
    """Whether an answer is owed of which it is not said that its route is late."""
    of_endpoint = owed.c.subject == endpoints.c.account + "/" + endpoints.c.endpoint
    waiting = select(owed.c.event_id).join(endpoints, of_endpoint)
    in_time = waiting.where(endpoints.c.degraded < endpoints.c.revision).limit(1)
    return (await connection.execute(in_time)).first() is not None


async def any_decided(connection: AsyncConnection, before: float) -> bool:
    """Whether any endpoint had a route before a time."""
    decided = select(routes.c.revision).where(routes.c.decided_at < before).limit(1)
    return (await connection.execute(decided)).first() is not None


async def courses(connection: AsyncConnection) -> list[Course]:
    """Every endpoint that ever had a route."""
    newest = and_(
        routes.c.account == endpoints.c.account,
        routes.c.endpoint == endpoints.c.endpoint,
        routes.c.revision == endpoints.c.revision,
    )
    rows = await connection.execute(select(routes, endpoints.c.degraded).join(endpoints, newest))
    known = {(each.account, each.name): each for each in await store.read(connection)}
    waiting = await answers.due(connection)
    found = [(row, known[row.account, row.endpoint]) for row in rows]
    return [_course(row, endpoint, waiting.get(endpoint.key, ())) for row, endpoint in found]


async def acknowledge(tx: Transaction, endpoint: Endpoint) -> bool:
    """Record that every gateway answers with the revision; False where that is known already."""
    this = (endpoints.c.account == endpoint.account, endpoints.c.endpoint == endpoint.name)
    behind = endpoints.c.acknowledged < endpoint.revision
    statement = update(endpoints).where(*this, behind).values(acknowledged=endpoint.revision)
    if (await tx.execute(statement)).rowcount != 1:
        return False
    row = (
        routes.c.account == endpoint.account,
        routes.c.endpoint == endpoint.name,
        routes.c.revision == endpoint.revision,
    )
    await tx.execute(update(routes).where(*row).values(applied_at=tx.now.timestamp()))
    return True


async def degrade(tx: Transaction, endpoint: Endpoint) -> bool:
    """Record that it is said that the deadline passed; False where that was said already."""
    this = (endpoints.c.account == endpoint.account, endpoints.c.endpoint == endpoint.name)
    unsaid = endpoints.c.degraded < endpoint.revision
    statement = update(endpoints).where(*this, unsaid).values(degraded=endpoint.revision)
    return (await tx.execute(statement)).rowcount == 1


async def unjudged(connection: AsyncConnection, before: float) -> list[Member]:
    """Variants that came to their revision before a time, and lack the verdict of a required check."""
    lacking = {
        (endpoint.account, endpoint.name, variant.deployment)
        for endpoint in await store.read(connection)
        for variant in endpoint.attached
        if variant.unjudged
    }
    if not lacking:
        return []
    rows = await connection.execute(select(variants).where(variants.c.since < before))
    return [Member.of(row) for row in rows if (row.account, row.endpoint, row.deployment) in lacking]


async def history(connection: AsyncConnection, account: str) -> Sequence[Row[Any]]:
    """The revisions of an account's routes, newest first."""
    statement = select(routes).where(routes.c.account == account).order_by(routes.c.revision.desc())
    return (await connection.execute(statement)).all()


def _course(row: Row, endpoint: Endpoint, waiting: Sequence[Answer]) -> Course:
    in_it = tuple(answer for answer in waiting if answer.revision <= endpoint.revision)
    return Course(endpoint, row.degraded, row.changed_by, row.decided_at, cause_of(row), in_it)

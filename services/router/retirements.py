"""Deployments that are to go: off their routes at once, or as soon as no traffic depends on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Row, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import store
from services.router.domain.variants import has_newer, retire, use_of
from services.router.store import Why
from services.router.tables import retirements
from so1s.events import VariantInUse, VariantReleased
from so1s.events.envelope import Cause
from so1s.store import Transaction, upsert


@dataclass(frozen=True)
class Retirement:
    """A deployment's wish to go, at the revision that it had then."""

    account: str
    deployment: str
    revision: int
    cause: Cause


async def release(
    tx: Transaction, account: str, deployment: str, revision: int
) -> VariantReleased | VariantInUse | None:
    """Take a deployment off its routes, unless one needs it.

    Returns:
        None where it was requested anew since, or is released once every gateway has the route without it.
    """
    endpoints = await store.endpoints_of(tx, account, deployment)
    if any(has_newer(endpoint, deployment, revision) for endpoint in endpoints):
        return None
    names = {"account": account, "deployment": deployment, "revision": revision}
    for endpoint in endpoints:
        if reason := use_of(endpoint, deployment):
            return VariantInUse(**names, endpoint=endpoint.name, reason=reason)
    after = [retire(endpoint, deployment, revision) for endpoint in endpoints]
    for before, endpoint in zip(endpoints, after, strict=True):
        await store.save(tx, before, endpoint, Why("router", f"{deployment} retires"))
    drains = any(endpoint.variants[deployment].state == "retiring" for endpoint in after)
    return None if drains else VariantReleased(**names)


async def remember(tx: Transaction, account: str, deployment: str, revision: int) -> None:
    """Keep a wish that cannot be granted yet, in the chain of the event in hand."""
    assert tx.cause
    await forget(tx, account, deployment, revision)
    row = {"account": account, "deployment": deployment, "revision": revision} | asdict(tx.cause)
    keys = ("account", "deployment")
    await upsert(tx, retirements, row, keys=keys, update=())


async def forget(tx: Transaction, account: str, deployment: str, revision: int) -> bool:
    """Give up the wish of a revision, and of earlier ones; False where there is none."""
    these = (retirements.c.account == account, retirements.c.deployment == deployment)
    gone = await tx.execute(delete(retirements).where(*these, retirements.c.revision <= revision))
    return gone.rowcount > 0


async def waiting(connection: AsyncConnection) -> list[Retirement]:
    """The wishes that were not granted yet."""
    return [_retirement(row) for row in await connection.execute(select(retirements))]


def _retirement(row: Row) -> Retirement:
    cause = Cause(row.event_id, row.correlation_id, row.traceparent)
    return Retirement(row.account, row.deployment, row.revision, cause)

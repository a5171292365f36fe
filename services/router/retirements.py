"""Deployments that are to go: off their routes at once, or as soon as no traffic depends on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Row, and_, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import store
from services.router.domain.variants import has_newer, retire, use_of
from services.router.progress import Member
from services.router.store import Why
from services.router.tables import cause_of, endpoints, retirements, variants
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
    known = await store.endpoints_of(tx, account, deployment)
    if any(has_newer(endpoint, deployment, revision) for endpoint in known):
        return None
    names = {"account": account, "deployment": deployment, "revision": revision}
    for endpoint in known:
        if reason := use_of(endpoint, deployment):
            return VariantInUse(**names, endpoint=endpoint.name, reason=reason)
    after = [retire(endpoint, deployment, revision) for endpoint in known]
    for before, endpoint in zip(known, after, strict=True):
        await store.save(tx, before, endpoint, Why(f"{deployment} retires"))
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


async def free(connection: AsyncConnection) -> list[Retirement]:
    """The wishes that nothing stands against any more: no endpoint gives the deployment weight."""
    mine = and_(
        variants.c.account == retirements.c.account, variants.c.deployment == retirements.c.deployment
    )
    weighs = exists().where(mine, variants.c.weight > 0)
    return [_retirement(row) for row in await connection.execute(select(retirements).where(~weighs))]


async def drained(connection: AsyncConnection) -> list[Member]:
    """Retiring variants that no gateway's route names any more."""
    of_endpoint = and_(variants.c.account == endpoints.c.account, variants.c.endpoint == endpoints.c.endpoint)
    off = (variants.c.state == "retiring", endpoints.c.acknowledged >= variants.c.route_revision)
    rows = await connection.execute(select(variants).join(endpoints, of_endpoint).where(*off))
    return [Member.of(row) for row in rows]


async def end(tx: Transaction, member: Member) -> bool:
    """Record that a drained variant is released; False where another endpoint still retires it."""
    mine = (variants.c.account == member.account, variants.c.deployment == member.deployment)
    this = (*mine, variants.c.endpoint == member.endpoint, variants.c.state == "retiring")
    await tx.execute(update(variants).where(*this).values(state="released"))
    others = await tx.execute(select(variants.c.endpoint).where(*mine, variants.c.state == "retiring"))
    return others.first() is None


def _retirement(row: Row) -> Retirement:
    return Retirement(row.account, row.deployment, row.revision, cause_of(row))

"""Queries on endpoints: what handlers decide on, and what the reconciler drives the mesh to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.domain.endpoint import Endpoint, Variant, Verdict
from services.router.tables import endpoints, routes, variants, verdicts
from so1s.store import Transaction, answers, upsert

_KEPT_REVISIONS = 100
"""How many revisions of a route its history shows."""


@dataclass(frozen=True)
class Why:
    """What a route is changed for, and by whom."""

    reason: str
    changed_by: str = "router"


async def load(tx: Transaction, account: str, name: str) -> Endpoint:
    """An endpoint, locked until the transaction ends; a new one where it is not known."""
    fresh = {"account": account, "endpoint": name, "revision": 0, "removed": False, "acknowledged": 0}
    await upsert(tx, endpoints, fresh | {"degraded": 0}, keys=("account", "endpoint"))
    this = _is(endpoints, account, name)
    await tx.execute(select(endpoints.c.revision).where(this).with_for_update())
    return (await read(tx.connection, this))[0]


async def read(connection: AsyncConnection, where: ColumnElement[bool] | None = None) -> list[Endpoint]:
    """Endpoints with their variants and the verdicts on these, in the order of their names."""
    where = true() if where is None else where
    of_endpoint = and_(variants.c.account == endpoints.c.account, variants.c.endpoint == endpoints.c.endpoint)
    found = await connection.execute(select(variants).join(endpoints, of_endpoint).where(where))
    judged = await _verdicts(
        connection, select(verdicts).join(variants, _judges()).join(endpoints, of_endpoint).where(where)
    )
    members: dict[tuple[str, str], dict[str, Variant]] = defaultdict(dict)
    for row in found:
        verdict = judged[row.account, row.deployment, row.revision]
        members[row.account, row.endpoint][row.deployment] = _variant(row, verdict)
    rows = await connection.execute(
        select(endpoints).where(where).order_by(endpoints.c.account, endpoints.c.endpoint)
    )
    return [_endpoint(row, members[row.account, row.endpoint]) for row in rows]


async def save(tx: Transaction, before: Endpoint, after: Endpoint, why: Why | None = None) -> None:
    """Write what became of an endpoint; a next revision of its route enters the history, and is answered.

    Args:
        tx: in which `before` was loaded.
        before: the endpoint as it was.
        after: the endpoint as it shall be.
        why: the route changes, where its revision does.
    """
    assert tx.cause
    changed = [v for name, v in after.variants.items() if before.variants.get(name) != v]
    for variant in changed:
        known = before.variants.get(variant.deployment)
        moved = known is None or (known.state, known.revision) != (variant.state, variant.revision)
        await _write_variant(tx, after, variant, moved=moved)
    if after.revision == before.revision:
        return
    assert why
    key = {"account": after.account, "endpoint": after.name}
    state = key | {"revision": after.revision, "removed": after.removed}
    await tx.execute(endpoints.update().where(_is(endpoints, after.account, after.name)).values(state))
    decided = {"weights": after.weights, "changed_by": why.changed_by, "reason": why.reason}
    row = key | decided | {"revision": after.revision, "decided_at": tx.now.timestamp()}
    await tx.execute(routes.insert().values(row | asdict(tx.cause)))
    old = routes.c.revision <= after.revision - _KEPT_REVISIONS
    await tx.execute(delete(routes).where(_is(routes, after.account, after.name), old))
    await answers.promise(tx, after.key, after.revision)


async def endpoints_of(tx: Transaction, account: str, deployment: str) -> list[Endpoint]:
    """The endpoints that know a deployment as a variant, each locked."""
    known = (
        variants.c.account == account,
        variants.c.deployment == deployment,
        variants.c.state != "released",
    )
    names = await tx.execute(select(variants.c.endpoint).where(*known).order_by(variants.c.endpoint))
    return [await load(tx, account, name) for name in names.scalars().all()]


async def forget_requests(tx: Transaction, account: str, deployment: str, *, but: str | None) -> None:
    """Forget that a deployment was to join other endpoints than `but`, where it never did."""
    waiting = (
        variants.c.account == account,
        variants.c.deployment == deployment,
        variants.c.state == "requested",
    )
    await tx.execute(delete(variants).where(*waiting, variants.c.endpoint != (but or "")))


async def names(tx: Transaction, account: str) -> list[str]:
    """The names of an account's endpoints that have a host, or may get one."""
    found = await read(tx.connection, endpoints.c.account == account)
    return [endpoint.name for endpoint in found if endpoint.is_there]


async def verdicts_on(tx: Transaction, account: str, deployment: str, revision: int) -> dict[str, Verdict]:
    """What checks said of a revision; those of earlier ones are forgotten."""
    mine = (verdicts.c.account == account, verdicts.c.deployment == deployment)
    await tx.execute(delete(verdicts).where(*mine, verdicts.c.revision < revision))
    statement = select(verdicts).where(*mine, verdicts.c.revision == revision)
    return (await _verdicts(tx.connection, statement))[account, deployment, revision]


async def record_verdicts(
    tx: Transaction, account: str, name: str, revision: int, found: Mapping[str, Verdict]
) -> None:
    """Keep what checks said of a deployment's revision; a later verdict replaces an earlier one."""
    key = {"account": account, "deployment": name, "revision": revision}
    for check, verdict in found.items():
        row = key | {"check_name": check, "passed": verdict.passed, "reason": verdict.reason}
        keys = ("account", "deployment", "revision", "check_name")
        await upsert(tx, verdicts, row, keys=keys, update=("passed", "reason"))


async def _write_variant(tx: Transaction, endpoint: Endpoint, variant: Variant, *, moved: bool) -> None:
    assert tx.cause
    state: dict[str, Any] = {
        "state": variant.state,
        "weight": variant.weight,
        "revision": variant.revision,
        "model": variant.model,
        "version": variant.version,
        "service": variant.service,
        "initial_percent": variant.initial_percent,
        "requires": list(variant.requires),
        "joined": variant.joined,
    }
    since = {"since": tx.now.timestamp(), "route_revision": endpoint.revision} | asdict(tx.cause)
    key = {"account": endpoint.account, "endpoint": endpoint.name, "deployment": variant.deployment}
    update = [*state, *since] if moved else list(state)
    await upsert(tx, variants, key | state | since, keys=list(key), update=update)


def _judges() -> ColumnElement[bool]:
    return and_(
        verdicts.c.account == variants.c.account,
        verdicts.c.deployment == variants.c.deployment,
        verdicts.c.revision == variants.c.revision,
    )


async def _verdicts(
    connection: AsyncConnection, statement: Any
) -> Mapping[tuple[str, str, int], dict[str, Verdict]]:
    found: dict[tuple[str, str, int], dict[str, Verdict]] = defaultdict(dict)
    for row in await connection.execute(statement):
        found[row.account, row.deployment, row.revision][row.check_name] = Verdict(row.passed, row.reason)
    return found


def _endpoint(row: Row, members: dict[str, Variant]) -> Endpoint:
    return Endpoint(row.account, row.endpoint, row.revision, row.removed, members)


def _variant(row: Row, judged: dict[str, Verdict]) -> Variant:
    return Variant(
        deployment=row.deployment,
        state=row.state,
        weight=row.weight,
        revision=row.revision,
        model=row.model,
        version=row.version,
        service=row.service,
        initial_percent=row.initial_percent,
        requires=tuple(row.requires),
        verdicts=judged,
        joined=row.joined,
    )


def _is(table: Any, account: str, endpoint: str) -> ColumnElement[bool]:
    return and_(table.c.account == account, table.c.endpoint == endpoint)

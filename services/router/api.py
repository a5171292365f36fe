"""Endpoints over HTTP, for people and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.router import changes, progress, retirements, store
from services.router.changes import Change
from services.router.domain.change import Waiting, decide
from services.router.domain.endpoint import Endpoint, Variant
from services.router.domain.route import PublicUrls
from services.router.domain.variants import use_of
from services.router.tables import endpoints
from so1s.store import Store


@dataclass(frozen=True)
class _Seen:
    """What is beside the endpoints of an account."""

    history: Sequence[Row]
    changes: Sequence[Change]
    retiring: frozenset[str]
    """The deployments that are to go once no traffic depends on them."""


def routes(database: Store, urls: PublicUrls) -> list[Route]:
    """`GET /v1/endpoints?account=ACCOUNT`."""

    async def list_endpoints(request: Request) -> JSONResponse:
        account = request.query_params.get("account")
        if not account:
            return JSONResponse({"error": "say which account: ?account=ACCOUNT"}, 400)
        async with database.snapshot() as connection:
            found = await store.read(connection, endpoints.c.account == account)
            seen = await _see(connection, account)
        return JSONResponse({"endpoints": [_endpoint(each, seen, urls) for each in found if each.is_there]})

    return [Route("/v1/endpoints", list_endpoints)]


async def _see(connection: AsyncConnection, account: str) -> _Seen:
    waiting = await changes.waiting(connection)
    wishes = await retirements.waiting(connection)
    return _Seen(
        history=await progress.history(connection, account),
        changes=[each for each in waiting if each.account == account and not each.superseded],
        retiring=frozenset(each.deployment for each in wishes if each.account == account),
    )


def _endpoint(endpoint: Endpoint, seen: _Seen, urls: PublicUrls) -> dict[str, Any]:
    revisions = [_revision(row) for row in seen.history if row.endpoint == endpoint.name]
    variants = [v for _, v in sorted(endpoint.variants.items()) if v.state != "released"]
    return {
        "account": endpoint.account,
        "endpoint": endpoint.name,
        "host": urls.host(endpoint),
        "url": urls.url(endpoint),
        "removed": endpoint.removed,
        "revision": endpoint.revision,
        "applied": bool(revisions) and revisions[0]["applied_at"] is not None,
        "variants": [_variant(v) | {"in_use": _use(endpoint, v, seen)} for v in variants],
        "waits": [_change(endpoint, each) for each in seen.changes if each.endpoint == endpoint.name],
        "history": revisions,
    }


def _use(endpoint: Endpoint, variant: Variant, seen: _Seen) -> str | None:
    """Why a variant is on the route although its deployment is to go; None for all others."""
    return use_of(endpoint, variant.deployment) if variant.deployment in seen.retiring else None


def _change(endpoint: Endpoint, change: Change) -> dict[str, Any]:
    """A change of weights that waits, and for what."""
    decided = decide(endpoint, change.weights)
    return {
        "event_id": change.cause.event_id,
        "weights": change.weights,
        "changed_by": change.changed_by,
        "reason": change.reason,
        "until": _time(change.deadline),
        "for": dict(decided.obstacles) if isinstance(decided, Waiting) else {},
    }


def _variant(variant: Variant) -> dict[str, Any]:
    return {
        "variant": variant.deployment,
        "state": variant.state,
        "weight": variant.weight,
        "model": variant.model or None,
        "version": variant.version or None,
        "deployment_revision": variant.revision,
        "checks": {check: _verdict(variant, check) for check in variant.requires},
    }


def _verdict(variant: Variant, check: str) -> dict[str, Any]:
    verdict = variant.verdicts.get(check)
    if verdict is None:
        return {"passed": None, "reason": "no verdict yet"}
    return {"passed": verdict.passed, "reason": verdict.reason}


def _revision(row: Row) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "weights": row.weights,
        "changed_by": row.changed_by,
        "reason": row.reason,
        "decided_at": _time(row.decided_at),
        "applied_at": _time(row.applied_at),
    }


def _time(seconds: float | None) -> str | None:
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )

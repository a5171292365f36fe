"""Endpoints over HTTP, for people and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.router import progress, store
from services.router.domain.endpoint import Endpoint, Variant
from services.router.domain.route import PublicUrls
from services.router.tables import endpoints
from so1s.store import Store


def routes(database: Store, urls: PublicUrls) -> list[Route]:
    """`GET /v1/endpoints?account=ACCOUNT`."""

    async def list_endpoints(request: Request) -> JSONResponse:
        account = request.query_params.get("account")
        if not account:
            return JSONResponse({"error": "say which account: ?account=ACCOUNT"}, 400)
        async with database.read() as connection:
            found = await store.read(connection, endpoints.c.account == account)
            history = await progress.history(connection, account)
        return JSONResponse(
            {"endpoints": [_endpoint(each, history, urls) for each in found if each.variants]}
        )

    return [Route("/v1/endpoints", list_endpoints)]


def _endpoint(endpoint: Endpoint, history: Sequence[Row], urls: PublicUrls) -> dict[str, Any]:
    revisions = [_revision(row) for row in history if row.endpoint == endpoint.name]
    return {
        "account": endpoint.account,
        "endpoint": endpoint.name,
        "host": urls.host(endpoint),
        "url": urls.url(endpoint),
        "removed": endpoint.removed,
        "revision": endpoint.revision,
        "applied": bool(revisions) and revisions[0]["applied_at"] is not None,
        "variants": [_variant(v) for _, v in sorted(endpoint.variants.items()) if v.state != "released"],
        "history": revisions,
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

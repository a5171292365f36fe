"""`GET /v1/drops`: what was found in the watched bucket, and why it was refused."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console import drops
from services.console.api.door import Door
from services.console.api.problems import answering
from services.console.domain.token import moment
from so1s.store import Store

_MOST = 500


def routes(door: Door, store: Store) -> list[Route]:
    """The newest drops of the token's account; `problem` is empty where one was published.

    The id of a drop is that of its event, and so that of its chain.
    """

    async def found(request: Request) -> JSONResponse:
        token = await door.admit(request)
        async with store.read() as connection:
            rows = await drops.entries(connection, token.account, _MOST)
        return JSONResponse({"drops": [_said(row) for row in rows]})

    return [Route("/v1/drops", answering(found))]


def _said(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "uri": row.uri,
        "at": moment(row.seen_at),
        "event": row.event or "listing",
        "principal": row.principal,
        "gone_at": moment(row.gone_at) if row.gone_at else None,
        "problem": row.problem,
    }

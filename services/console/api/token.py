"""`GET /v1/token`: what a token may do, for a client that wants to know before it works with it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console.api.door import Door
from services.console.api.problems import answering
from services.console.domain.scopes import sayable
from services.console.domain.token import moment


def routes(door: Door) -> list[Route]:
    """The token that asks."""

    async def token(request: Request) -> JSONResponse:
        found = await door.admit(request)
        return JSONResponse(
            {
                "id": found.id,
                "account": found.account,
                "scopes": sorted(found.scopes),
                "may_say": sorted(sayable(found.scopes)),
                "expires_at": moment(found.expires_at),
            }
        )

    return [Route("/v1/token", answering(token))]

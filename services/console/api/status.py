"""`GET /v1/status`: what serves, and what is wrong."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console import standing
from services.console.api.door import Door
from services.console.api.problems import answering
from so1s.store import Store


def routes(door: Door, store: Store) -> list[Route]:
    """How the token's account stands: `builds`, `deployments`, `endpoints` and `incidents`.

    They are told by the events that the console has heard; what the owners know beside that is not there.
    """

    async def status(request: Request) -> JSONResponse:
        token = await door.admit(request)
        async with store.read() as connection:
            return JSONResponse(await standing.read(connection, token.account))

    return [Route("/v1/status", answering(status))]

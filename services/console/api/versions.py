"""`GET /v1/models/MODEL/versions`: which versions a model has."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console import versions
from services.console.api.door import Door
from services.console.api.problems import answering
from so1s.store import Store


def routes(door: Door, store: Store) -> list[Route]:
    """The versions of a model of the token's account, each with the sha256 that was said, or null."""

    async def of_model(request: Request) -> JSONResponse:
        token = await door.admit(request)
        async with store.read() as connection:
            found = await versions.of_model(connection, token.account, request.path_params["model"])
        return JSONResponse({"versions": [dict(each) for each in found]})

    return [Route("/v1/models/{model}/versions", answering(of_model))]

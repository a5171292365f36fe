"""`GET /v1/builds`: the builds of the token's account, and their logs."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.console.api.door import Door
from services.console.api.problems import Endpoint, answering
from services.console.domain.refusal import Refusal, forbidden
from services.console.ports import Builds, NotTold
from so1s.errors import InvalidInput
from so1s.events.event import Value
from so1s.events.names import Name, Version
from so1s.validation import checked

_COUNT = re.compile(r"[0-9]{1,9}")
_CHOICES = ("model", "state")


class _Asked(Value):
    """A version, by names that say nothing else in a path."""

    model: Name
    version: Version


def routes(door: Door, builds: Builds | None) -> list[Route]:
    """What a builder tells, for the token's own account alone, at the builder's own paths.

    `GET /v1/builds` lists builds, the newest first; `model` and `state` choose among them.
    `GET /v1/builds/ACCOUNT/MODEL/VERSION/log` is the log of a version's present build, as text.
    `GET /v1/builds/ACCOUNT/MODEL/VERSION/log/lines?after=N` is the `build`, and what follows N `lines`.

    Args:
        door: admits a token of any scope.
        builds: what is asked; None where the console is told of no builder.
    """

    async def listed(request: Request) -> Response:
        account, builder = await _admitted(request, request.query_params.get("account"))
        said = {name: request.query_params[name] for name in _CHOICES if name in request.query_params}
        return JSONResponse({"builds": await builder.of_account(account, said)})

    async def log(request: Request) -> Response:
        account, builder = await _admitted(request, request.path_params["account"])
        asked = _asked(request)
        return PlainTextResponse(await builder.log(account, asked.model, asked.version))

    async def lines(request: Request) -> Response:
        account, builder = await _admitted(request, request.path_params["account"])
        asked, after = _asked(request), request.query_params.get("after", "0")
        if not _COUNT.fullmatch(after):
            raise InvalidInput.of("after", after, "allowed: a number of lines from 0")
        return JSONResponse(await builder.lines(account, asked.model, asked.version, int(after)))

    async def _admitted(request: Request, said: str | None) -> tuple[str, Builds]:
        token = await door.admit(request)
        if said not in {None, token.account}:
            raise forbidden("account", str(said), f"allowed: {token.account!r}, the account of this token")
        if builds is None:
            detail = "this console is told of no builder; its operator says one as SO1S_BUILDER_URL"
            raise Refusal(404, "Not told here", detail)
        return token.account, builds

    return [
        Route("/v1/builds", _answering(listed)),
        Route("/v1/builds/{account}/{model}/{version}/log", _answering(log)),
        Route("/v1/builds/{account}/{model}/{version}/log/lines", _answering(lines)),
    ]


def _answering(endpoint: Endpoint) -> Endpoint:
    async def told(request: Request) -> Response:
        try:
            return await endpoint(request)
        except NotTold as error:
            raise Refusal(error.status, "Not told", str(error)) from error

    return answering(told)


def _asked(request: Request) -> _Asked:
    return checked(_Asked, model=request.path_params["model"], version=request.path_params["version"])

"""`POST /v1/artifacts/parts`, `…/complete` and `…/abort`: an upload in parts, which go to S3 themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console import audit
from services.console.api.bodies import whole
from services.console.api.door import Door
from services.console.api.problems import answering
from services.console.domain.parts import Begun, PartsAsked
from services.console.domain.scopes import Scope
from services.console.domain.token import Token
from services.console.domain.upload import Upload, check
from services.console.ports import PartUploads
from services.console.settings import Settings
from so1s.errors import InvalidInput
from so1s.store import Store

U = TypeVar("U", bound=Upload)

_QUESTION_BYTES = 32 * 1024


def routes(door: Door, store: Store, settings: Settings, parts: PartUploads) -> list[Route]:
    """What follows an offer of parts: their URLs, as many at a time as are sent next, and the end."""

    async def asked(request: Request, model: type[U]) -> tuple[Token, U]:
        token = await door.admit(request, Scope.publish)
        body = await whole(request, _QUESTION_BYTES, settings.body_seconds)
        said = parsed(model, body)
        check(said, token.account, settings.max_artifact_bytes)
        return token, said

    async def note(token: Token, action: str, upload: Upload) -> None:
        async with store.transaction() as tx:
            await audit.note(tx, token.actor, action, account=token.account, subject=upload.key)

    async def sign(request: Request) -> JSONResponse:
        _, said = await asked(request, PartsAsked)
        signed = zip(said.parts, await parts.sign(said), strict=True)
        found = [{"number": part.number, "method": "PUT", **asdict(put)} for part, put in signed]
        return JSONResponse({"parts": found})

    async def complete(request: Request) -> JSONResponse:
        token, said = await asked(request, Begun)
        uri = await parts.complete(said)
        await note(token, "upload.completed", said)
        artifact = {"uri": uri, "sha256": said.sha256, "size_bytes": said.size_bytes}
        return JSONResponse({"artifact": artifact}, 201)

    async def abort(request: Request) -> JSONResponse:
        token, said = await asked(request, Begun)
        await parts.abort(said)
        await note(token, "upload.aborted", said)
        return JSONResponse({})

    return [
        Route("/v1/artifacts/parts", answering(sign), methods=["POST"]),
        Route("/v1/artifacts/complete", answering(complete), methods=["POST"]),
        Route("/v1/artifacts/abort", answering(abort), methods=["POST"]),
    ]


def parsed(model: type[U], body: bytes) -> U:
    """Read what is said of an upload.

    Raises:
        InvalidInput: it breaks a rule.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error, model) from error

"""`POST /v1/artifacts`: where a model's bytes go; `PUT /v1/artifacts/…`: the bytes, on one machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console import audit
from services.console.api.bodies import arriving, check_length, whole
from services.console.api.door import Door
from services.console.api.parts import parsed
from services.console.api.problems import answering
from services.console.domain.scopes import Scope
from services.console.domain.upload import Parts, Put, Upload, check
from services.console.ports import Receiver, Uploads
from services.console.settings import Settings
from so1s.errors import InvalidInput
from so1s.store import Store
from so1s.validation import checked

_QUESTION_BYTES = 4096


def routes(
    door: Door, store: Store, settings: Settings, uploads: Uploads, receiver: Receiver | None
) -> list[Route]:
    """Uploads: asked for first, then sent to where the answer says, unless the bytes are there already."""

    async def offer(request: Request) -> JSONResponse:
        token = await door.admit(request, Scope.publish)
        body = await whole(request, _QUESTION_BYTES, settings.body_seconds)
        upload = parsed(Upload, body)
        check(upload, token.account, settings.max_artifact_bytes)
        made = await uploads.offer(upload)
        async with store.transaction() as tx:
            await audit.note(tx, token.actor, "upload.offered", account=token.account, subject=upload.key)
        artifact = {"uri": made.uri, "sha256": upload.sha256, "size_bytes": upload.size_bytes}
        return JSONResponse({"artifact": artifact, "upload": _said(made.by)})

    found = [Route("/v1/artifacts", answering(offer), methods=["POST"])]
    return [*found, _receiving(door, settings, receiver)] if receiver else found


def _receiving(door: Door, settings: Settings, receiver: Receiver) -> Route:
    async def receive(request: Request) -> JSONResponse:
        token = await door.admit(request, Scope.publish)
        check_length(request, settings.max_artifact_bytes)
        size = request.headers.get("content-length", "")
        if not size.isdecimal():
            raise InvalidInput.missing("content-length", "allowed: the number of bytes, sent ahead of them")
        upload = checked(Upload, **request.path_params, size_bytes=int(size))
        check(upload, token.account, settings.max_artifact_bytes)
        async with arriving(settings.upload_seconds):
            uri = await receiver.receive(upload, _chunks(request))
        artifact = {"uri": uri, "sha256": upload.sha256, "size_bytes": upload.size_bytes}
        return JSONResponse({"artifact": artifact}, 201)

    path = "/v1/artifacts/{account}/{model}/{version}/{sha256}/{file}"
    return Route(path, answering(receive), methods=["PUT"])


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


def _said(by: Put | Parts | None) -> dict[str, Any] | None:
    match by:
        case Put():
            return {"method": "PUT", **asdict(by)}
        case Parts():
            sent = [{"number": number, "sha256": sha256} for number, sha256 in by.sent.items()]
            return asdict(by) | {"sent": sent}
    return None

"""HTTP: builds and their logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from services.builder import refused
from services.builder import store as builds
from services.builder.build_log import path_of
from so1s.store import Store


def routes(store: Store, logs: Path) -> list[Route]:
    """The builder's API.

    `GET /v1/builds?account=ACCOUNT` lists builds, the newest first, and uploads that were `refused`;
    `GET /v1/builds/ACCOUNT/MODEL/VERSION/log` is the log of the present build of a version, as text.
    """

    async def list_builds(request: Request) -> Response:
        account = request.query_params.get("account")
        if not account:
            return JSONResponse({"error": "say whose builds: ?account=ACCOUNT"}, status_code=400)
        async with store.read() as connection:
            rows = await builds.list_builds(connection, account)
            without = await refused.of_account(connection, account)
        found = [*map(_shown, rows), *map(_refused, without)]
        return JSONResponse({"builds": sorted(found, key=itemgetter("queued_at"), reverse=True)})

    async def read_log(request: Request) -> Response:
        account, model, version = (request.path_params[each] for each in ("account", "model", "version"))
        async with store.read() as connection:
            present = await builds.present_build(connection, account, model, version)
            why = await refused.find(connection, account, model, version)
        if present is None:
            said = f"was refused: {why}" if why else "was never uploaded"
            return JSONResponse({"error": f"{account}/{model}@{version} {said}"}, status_code=404)
        number, ended = present
        path = path_of(logs, account, model, version, number)
        if not await asyncio.to_thread(path.exists):
            if ended:
                return JSONResponse({"error": "the log is not kept any more"}, status_code=410)
            return Response("", media_type="text/plain")  # queued: nothing is logged yet
        return FileResponse(path, media_type="text/plain; charset=utf-8")

    return [
        Route("/v1/builds", list_builds),
        Route("/v1/builds/{account}/{model}/{version}/log", read_log),
    ]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("account", "model", "version", "number", "state", "sha256", "tries", "reason", "message")
    times = ("queued_at", "started_at", "finished_at")
    image = {"image": json.loads(row["image"])["reference"] if row["image"] else None}
    return {name: row[name] for name in names} | image | {name: _time(row[name]) for name in times}


def _refused(row: Mapping[str, Any]) -> dict[str, Any]:
    """A refused upload as a build that never began."""
    at = row["refused_at"]
    never = dict.fromkeys(("number", "sha256", "image", "started_at"))
    return _shown({**row, **never, "state": "refused", "tries": 0, "queued_at": at, "finished_at": at})


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""HTTP: builds and their logs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.builder import logs, refused
from services.builder import store as builds
from services.builder.domain.queue import reason_to_wait
from so1s.events import ModelUploaded
from so1s.store import Store

_VERSION = ("account", "model", "version")
_COUNT = re.compile(r"[0-9]{1,9}")


def routes(store: Store, builds_per_account: int) -> list[Route]:
    """The builder's API.

    `GET /v1/builds?account=ACCOUNT` lists builds, the newest first, and uploads that were `refused`; `model`
    and `state` choose among them.
    `GET /v1/builds/ACCOUNT/MODEL/VERSION/log` is the log of a version's present build, as text.
    `GET /v1/builds/ACCOUNT/MODEL/VERSION/log/lines?after=N` is the `build`, and what follows N `lines`.

    Args:
        store: of the builds, whichever replica builds them.
        builds_per_account: see `Settings`; said of those that wait.
    """
    api = _Api(store, builds_per_account)
    return [
        Route("/v1/builds", api.list_builds),
        Route("/v1/builds/{account}/{model}/{version}/log", api.read_log),
        Route("/v1/builds/{account}/{model}/{version}/log/lines", api.read_lines),
    ]


@dataclass(frozen=True)
class _Api:
    store: Store
    builds_per_account: int

    async def list_builds(self, request: Request) -> Response:
        said = request.query_params
        account, model, state = (said.get(each) for each in ("account", "model", "state"))
        if not account:
            return _error(400, "say whose builds: ?account=ACCOUNT")
        async with self.store.snapshot() as connection:
            rows = await builds.list_builds(connection, account, model=model, state=state)
            running = await builds.running(connection, account)
            without = [] if state not in {None, "refused"} else await refused.of_account(connection, account)
        found = [_shown(row, running, self.builds_per_account) for row in rows]
        found += [_refused(row) for row in without if model in {None, row["model"]}]
        return JSONResponse({"builds": sorted(found, key=itemgetter("queued_at"), reverse=True)})

    async def read_log(self, request: Request) -> Response:
        async with self.store.snapshot() as connection:
            row, lines = await _read(connection, request)
            if row is None:
                return await _unknown(connection, request)
        if not lines and row["finished_at"]:
            return _error(410, "the log is not kept any more")
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    async def read_lines(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not _COUNT.fullmatch(after):
            return _error(400, f"after: {after!r} is not allowed; allowed: a number of lines from 0")
        async with self.store.snapshot() as connection:
            row, lines = await _read(connection, request, after=int(after))
            if row is None:
                return await _unknown(connection, request)
            running = await builds.running(connection, row["account"])
        build = _shown(row, running, self.builds_per_account)
        return JSONResponse({"build": build, "lines": lines})


async def _read(
    connection: AsyncConnection, request: Request, *, after: int = 0
) -> tuple[Mapping[str, Any] | None, list[str]]:
    """The present build of the version that is asked for, and its log after so many lines.

    The build first: its last lines are stored together with its end, so that of one that ended none lacks.
    """
    account, model, version = (request.path_params[each] for each in _VERSION)
    row = await builds.present_build(connection, account, model, version)
    lines = await logs.read(connection, account, model, version, row["number"], after=after) if row else []
    return row, lines


async def _unknown(connection: AsyncConnection, request: Request) -> Response:
    account, model, version = (request.path_params[each] for each in _VERSION)
    why = await refused.find(connection, account, model, version)
    said = f"was refused: {why}" if why else "was never uploaded"
    return _error(404, f"{account}/{model}@{version} {said}")


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _shown(row: Mapping[str, Any], running: int, limit: int) -> dict[str, Any]:
    uploaded = ModelUploaded.from_json(row["uploaded"].encode())
    waits_for = None
    if row["state"] == "queued":
        waits_for = reason_to_wait(running, limit, problem=row["message"])
    return {**_facts(row), "priority": uploaded.priority, "waits_for": waits_for}


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("account", "model", "version", "number", "state", "sha256", "tries", "reason", "message")
    times = ("queued_at", "started_at", "finished_at")
    image = {
        "image": json.loads(row["image"])["reference"] if row["image"] else None,
        "warnings": json.loads(row["warnings"] or "[]"),
    }
    return {name: row[name] for name in names} | image | {name: _time(row[name]) for name in times}


def _refused(row: Mapping[str, Any]) -> dict[str, Any]:
    """A refused upload as a build that never began."""
    at = row["refused_at"]
    never = dict.fromkeys(("number", "sha256", "image", "warnings", "started_at", "priority", "waits_for"))
    facts = _facts({**row, **never, "state": "refused", "tries": 0, "queued_at": at, "finished_at": at})
    return {**facts, "priority": None, "waits_for": None}


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

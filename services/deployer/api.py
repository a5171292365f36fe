"""HTTP: deployments and what their replicas wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.deployer import history
from services.deployer import store as deployments
from services.deployer.domain.history import Entry, outcome
from services.deployer.domain.recorded import Recorded
from services.deployer.ports import Cluster
from so1s.events import DeploymentFailed
from so1s.store import Store

_LINES = 100
_MOST_LINES = 10_000


def routes(store: Store, cluster: Cluster) -> list[Route]:
    """The deployer's API.

    `GET /v1/deployments?account=ACCOUNT` lists deployments;
    `GET /v1/deployments/ACCOUNT/NAME/revisions` lists its revisions, the newest first;
    `GET /v1/deployments/ACCOUNT/NAME/logs?lines=100` is what its replicas wrote last, as text.
    """

    async def list_deployments(request: Request) -> Response:
        account = request.query_params.get("account")
        if not account:
            return _wrong("say whose deployments: ?account=ACCOUNT", 400)
        async with store.snapshot() as connection:
            found = await deployments.present(connection, account)
        return JSONResponse({"deployments": [_shown(recorded) for recorded in found]})

    async def list_revisions(request: Request) -> Response:
        account, name = request.path_params["account"], request.path_params["name"]
        async with store.snapshot() as connection:
            recorded = await deployments.look(connection, account, name)
            found = await history.read(connection, account, name)
        if recorded is None:
            return _unknown(account, name)
        return JSONResponse({"revisions": [_revision(each, recorded) for each in found]})

    async def read_logs(request: Request) -> Response:
        text = request.query_params.get("lines", str(_LINES))
        if not text.isdecimal() or not 1 <= int(text) <= _MOST_LINES:
            return _wrong(f"lines: {text!r} is not allowed; allowed: 1 to {_MOST_LINES}", 400)
        account, name = request.path_params["account"], request.path_params["name"]
        async with store.snapshot() as connection:
            known = any(each.name == name for each in await deployments.present(connection, account))
        lines = await cluster.logs(account, name, int(text))
        if not known and not lines:
            return _unknown(account, name)
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    return [
        Route("/v1/deployments", list_deployments),
        Route("/v1/deployments/{account}/{name}/revisions", list_revisions),
        Route("/v1/deployments/{account}/{name}/logs", read_logs),
    ]


def _shown(recorded: Recorded) -> dict[str, Any]:
    workload, status = recorded.workload, recorded.status
    return {
        "account": recorded.account,
        "deployment": recorded.name,
        "revision": recorded.revision,
        "serving": _serving(recorded),
        "state": recorded.state if recorded.state != "active" else status.rollout,
        "model": workload.model,
        "version": workload.version,
        "endpoint": workload.endpoint,
        "image": workload.image.digest,
        "strategy": workload.strategy,
        "resources": workload.resources.model_dump(),
        "scaling": workload.scaling.model_dump(exclude_none=True),
        "desired": status.desired,
        "ready": status.ready,
        "restarts": status.restarts,
        "url": recorded.url,
        "failure": _failure(recorded.failure) if status.rollout == "failed" else None,
    }


def _serving(recorded: Recorded) -> dict[str, Any] | None:
    """The version that takes traffic, which may be an earlier revision's; None where none may yet."""
    if recorded.serving is None:
        return None
    workload = recorded.serving.workload
    return {"revision": recorded.serving.number, "model": workload.model, "version": workload.version}


def _revision(entry: Entry, recorded: Recorded) -> dict[str, Any]:
    return {
        "revision": entry.number,
        "model": entry.workload.model,
        "version": entry.workload.version,
        "requested_at": _time(entry.requested_at),
        "requested_by": entry.requested_by,
        "state": outcome(entry, recorded),
        "ready_at": _time(entry.ready_at),
        "failure": _failure(entry.failure),
        "workload": entry.workload.model_dump(mode="json", exclude_none=True),
    }


def _failure(failed: DeploymentFailed | None) -> dict[str, str] | None:
    return {"reason": failed.reason, "message": failed.message} if failed else None


def _time(seconds: float | None) -> str | None:
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )


def _unknown(account: str, name: str) -> Response:
    return _wrong(f"{account}/{name} is no deployment", 404)


def _wrong(error: str, status: int) -> Response:
    return JSONResponse({"error": error}, status)

"""HTTP: deployments and what their replicas wrote."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.deployer import store as deployments
from services.deployer.domain.progress import Status
from services.deployer.domain.recorded import Recorded
from services.deployer.ports import Cluster
from so1s.store import Store

_LINES = 100
_MOST_LINES = 10_000


def routes(store: Store, cluster: Cluster) -> list[Route]:
    """The deployer's API.

    `GET /v1/deployments?account=ACCOUNT` lists deployments;
    `GET /v1/deployments/ACCOUNT/NAME/logs?lines=100` is what its replicas wrote last, as text.
    """

    async def list_deployments(request: Request) -> Response:
        account = request.query_params.get("account")
        if not account:
            return _wrong("say whose deployments: ?account=ACCOUNT", 400)
        async with store.read() as connection:
            found = await deployments.present(connection, account)
        return JSONResponse({"deployments": [_shown(recorded) for recorded in found]})

    async def read_logs(request: Request) -> Response:
        text = request.query_params.get("lines", str(_LINES))
        if not text.isdecimal() or not 1 <= int(text) <= _MOST_LINES:
            return _wrong(f"lines: {text!r} is not allowed; allowed: 1 to {_MOST_LINES}", 400)
        account, name = request.path_params["account"], request.path_params["name"]
        async with store.read() as connection:
            known = any(each.name == name for each in await deployments.present(connection, account))
        lines = await cluster.logs(account, name, int(text))
        if not known and not lines:
            return _wrong(f"{account}/{name} is no deployment", 404)
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    return [
        Route("/v1/deployments", list_deployments),
        Route("/v1/deployments/{account}/{name}/logs", read_logs),
    ]


def _shown(recorded: Recorded) -> dict[str, Any]:
    workload, status = recorded.workload, recorded.status
    rollout = _rollout(status)
    return {
        "account": recorded.account,
        "deployment": recorded.name,
        "revision": recorded.revision,
        "serving": _serving(recorded),
        "state": recorded.state if recorded.state != "active" else rollout,
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
        "failure": _failure(recorded) if rollout == "failed" else None,
    }


def _rollout(status: Status) -> str:
    """How far the present revision has come."""
    if status.ready_revision == status.revision:
        return "ready"
    if status.failed_revision == status.revision:
        return "failed"
    return "checking" if status.candidate and status.candidate_revision == status.revision else "rolling out"


def _serving(recorded: Recorded) -> dict[str, Any] | None:
    """The version that takes traffic, which may be an earlier revision's; None where none may yet."""
    if recorded.serving is None:
        return None
    workload = recorded.serving.workload
    return {"revision": recorded.serving.number, "model": workload.model, "version": workload.version}


def _failure(recorded: Recorded) -> dict[str, str] | None:
    failed = recorded.failure
    return {"reason": failed.reason, "message": failed.message} if failed else None


def _wrong(error: str, status: int) -> Response:
    return JSONResponse({"error": error}, status)

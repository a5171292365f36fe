"""HTTP in: the incidents of an account, for the CLI."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.alerter import store
from services.alerter.domain.incident import Incident
from so1s.errors import InvalidInput
from so1s.events.names import Account
from so1s.store import Store

_LIMIT = 200
_account = TypeAdapter(Account)


def routes(state: Store) -> list[Route]:
    """`GET /v1/incidents?account=`: the latest 200, the newest first."""

    async def list_incidents(request: Request) -> JSONResponse:
        try:
            account = _account.validate_python(request.query_params.get("account"))
        except ValidationError as error:
            return JSONResponse({"error": str(InvalidInput.from_pydantic(error))}, 400)
        async with state.read() as connection:
            found = await store.listed(connection, account, _LIMIT)
        return JSONResponse({"incidents": [_shown(incident) for incident in found]})

    return [Route("/v1/incidents", list_incidents)]


def _shown(incident: Incident) -> dict[str, Any]:
    finding = incident.finding
    return {
        "incident": incident.id,
        "state": "open" if incident.resolved_at is None else "resolved",
        "rule": finding.rule,
        "severity": finding.severity,
        "account": finding.subject.account,
        "subject": finding.subject.text,
        "summary": finding.headline,
        "observed": finding.observed,
        "allowed": finding.allowed,
        "began_at": finding.began_at.isoformat(),
        "opened_at": finding.at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
        "resolution": incident.resolution,
    }

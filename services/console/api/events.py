"""`POST /v1/events`: CloudEvents in binary mode, in structured mode, or many of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.console import audit, chains, versions
from services.console.api.bodies import whole
from services.console.api.door import Door
from services.console.api.problems import answering
from services.console.domain import binding
from services.console.domain.admission import admit, begins_a_chain, record
from services.console.domain.token import Token
from services.console.metrics import ACCEPTED
from services.console.settings import Settings
from so1s.events.envelope import Received, Record
from so1s.store import Store


def routes(door: Door, store: Store, settings: Settings) -> list[Route]:
    """Where events are said: 202 and their ids once they are recorded; all of a batch, or none."""

    async def publish(request: Request) -> JSONResponse:
        token = await door.admit(request)
        body = await whole(request, settings.max_body_bytes, settings.body_seconds)
        headers = {name.lower(): value for name, value in request.headers.items()}
        now = datetime.now(UTC)
        admitted = admit(token, binding.read(headers, body), now)
        await _accept(store, token, admitted, [record(each, now) for each in admitted])
        return JSONResponse({"ids": [each.id for each in admitted]}, 202)

    return [Route("/v1/events", answering(publish), methods=["POST"])]


async def _accept(
    store: Store, token: Token, admitted: Sequence[Received], records: Sequence[Record]
) -> None:
    """Record events for Kafka, for those who wait, and for the audit, in one transaction."""
    async with store.transaction() as tx:
        for each in admitted:
            if not begins_a_chain(each):
                await chains.check(tx, token.account, each.correlation_id)
            await chains.check_id(tx, each)
            subject = f"{each.event.type} {each.id}"
            await audit.note(tx, token.actor, "event.accepted", account=token.account, subject=subject)
            await chains.remember(tx, [each])
        await versions.remember(tx, admitted)
        tx.records.extend(records)
    for each in admitted:
        ACCEPTED.labels(each.event.type).inc()

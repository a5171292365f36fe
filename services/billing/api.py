"""Bills over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.billing.domain.bill import Days, Line, dimensions, money, row, total
from services.billing.domain.prices import PriceBook
from services.billing.rebuild import audit
from services.billing.store import bill_lines, bill_totals
from so1s.errors import InvalidInput
from so1s.store import Store

_DEFAULT_BY = "model,resource"
Answer = Callable[[Request], Awaitable[dict[str, Any]]]


def routes(store: Store, prices: PriceBook) -> list[Route]:
    """The read API.

    `GET /v1/bills` sums each account; `GET /v1/bills/ACCOUNT?by=model,resource` breaks one down, by any of
    user, model, version, deployment, resource, day; `GET /v1/bills/ACCOUNT/recomputed` takes the archived
    events instead of the ledger and compares. `from` and `to` are days, both included.
    """

    async def accounts(request: Request) -> dict[str, Any]:
        days = _days(request)
        async with store.read() as connection:
            lines = await bill_totals(connection, days)
        return _bill(lines, ("account",))

    async def bill(request: Request) -> dict[str, Any]:
        by, days = _by(request), _days(request)
        account = request.path_params["account"]
        async with store.read() as connection:
            lines = await bill_lines(connection, account, by, days)
        return {"account": account, **_bill(lines, by)}

    async def recomputed(request: Request) -> dict[str, Any]:
        by, days = _by(request), _days(request)
        account = request.path_params["account"]
        async with store.snapshot() as connection:
            found = await audit(connection, prices, account, by, days)
        differences = [row(line, by) for line in found.differences]
        return {
            "account": account,
            **_bill(found.recomputed, by),
            "equal": not differences,
            "differences": differences,
        }

    return [
        Route("/v1/bills", _json(accounts)),
        Route("/v1/bills/{account}", _json(bill)),
        Route("/v1/bills/{account}/recomputed", _json(recomputed)),
    ]


def _bill(lines: list[Line], by: tuple[str, ...]) -> dict[str, Any]:
    rows = [row(line, by) for line in lines]
    return {"currency": "USD", "by": by, "rows": rows, "total": money(total(lines))}


def _by(request: Request) -> tuple[str, ...]:
    return dimensions(request.query_params.get("by", _DEFAULT_BY))


def _days(request: Request) -> Days:
    days = Days(_day(request, "from", date.min), _day(request, "to", date.max))
    if days.last < days.first:
        raise InvalidInput.of(
            "to", str(days.last), f"allowed: {days.first}, the day of `from`, or a later one"
        )
    return days


def _day(request: Request, name: str, otherwise: date) -> date:
    value = request.query_params.get(name)
    try:
        return date.fromisoformat(value) if value else otherwise
    except ValueError:
        raise InvalidInput.of(name, value, "allowed: a day such as 2026-11-24") from None


def _json(answer: Answer) -> Callable[[Request], Awaitable[JSONResponse]]:
    @wraps(answer)
    async def endpoint(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await answer(request))
        except InvalidInput as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return endpoint

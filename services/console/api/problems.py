"""Answers to requests that cannot be fulfilled: problem details as RFC 9457 has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import wraps

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from services.console.domain.refusal import Refusal
from so1s.errors import InvalidInput, Problem, TemporaryError

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]

_RETRY_SECONDS = 2


def answering(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose foreseeable errors are answers."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refusal as refusal:
            return _problem(
                refusal.status, refusal.title, str(refusal), refusal.problems, headers=refusal.headers
            )
        except InvalidInput as error:
            return _problem(400, "Not allowed", str(error), error.problems)
        except (TemporaryError, SQLAlchemyError, OSError) as error:
            return _away(request, error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return answer


def _away(request: Request, error: Exception) -> Response:
    log.warning("a request waits for what is away", path=request.url.path, error=type(error).__name__)
    retry = {"retry-after": str(_RETRY_SECONDS)}
    detail = "a part that this needs is away; the same request may be sent again"
    return _problem(503, "Not available", detail, [], headers=retry)


def _problem(
    status: int,
    title: str,
    detail: str,
    problems: list[Problem],
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    said = {
        "title": title,
        "status": status,
        "detail": detail,
        "problems": [asdict(each) for each in problems],
    }
    return JSONResponse(said, status, headers, media_type="application/problem+json")

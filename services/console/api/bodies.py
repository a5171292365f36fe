"""Bodies of requests, within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.requests import Request

from services.console.domain.refusal import too_large, too_slow


def check_length(request: Request, most_bytes: int) -> None:
    """Refuse a body that announces itself as too large.

    Raises:
        Refusal: it does.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most_bytes:
        raise too_large(most_bytes)


async def whole(request: Request, most_bytes: int, seconds: float) -> bytes:
    """Read a body.

    Raises:
        Refusal: it is too large or too slow.
    """
    check_length(request, most_bytes)
    body = bytearray()
    async with arriving(seconds):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise too_large(most_bytes)
    return bytes(body)


@asynccontextmanager
async def arriving(seconds: float) -> AsyncGenerator[None, None]:
    """Refuse what has not arrived in time.

    Raises:
        Refusal: the block took longer.
    """
    clock = asyncio.timeout(seconds)
    try:
        async with clock:
            yield
    except TimeoutError:
        if clock.expired():
            raise too_slow(seconds) from None
        raise

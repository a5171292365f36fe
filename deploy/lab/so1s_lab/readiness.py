"""How a part is asked whether it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

Ready = Callable[[], Awaitable[bool]]

_TIMEOUT_SECONDS = 2.0


def answers(url: str, *, ca: Path | None = None) -> Ready:
    """Whether a URL answers with success; an https one is verified against the authority's certificate."""
    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False, verify=verify) as client:
                return (await client.get(url)).is_success
        except httpx.TransportError:
            return False

    return ready


def listens(port: int) -> Ready:
    """Whether a port of the loopback accepts connections."""

    async def ready() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    return ready

"""Asks a replica how it is, by the Open Inference Protocol's health paths."""

from __future__ import annotations

import httpx


def client(timeout_seconds: float) -> httpx.AsyncClient:
    """A client for replicas: no proxy stands between, and each probe is a connection of its own."""
    return httpx.AsyncClient(
        timeout=timeout_seconds,
        trust_env=False,
        verify=False,  # noqa: S501 - plain HTTP on the loopback; loading authorities takes 30 ms
        limits=httpx.Limits(max_keepalive_connections=0),
    )


async def probe(http: httpx.AsyncClient, url: str) -> tuple[bool, bool]:
    """Whether it can answer predictions, and whether it lives."""
    ready = await _ok(http, f"{url}/v2/health/ready")
    if ready is None:
        return False, False  # who does not answer one question need not be asked another
    return ready, ready or bool(await _ok(http, f"{url}/v2/health/live"))


async def _ok(http: httpx.AsyncClient, url: str) -> bool | None:
    """Whether the answer is good; None where there is none."""
    try:
        return (await http.get(url)).is_success
    except httpx.HTTPError:
        return None

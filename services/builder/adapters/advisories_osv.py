"""Known vulnerabilities of packages, as a server that speaks OSV's API tells them.

https://google.github.io/osv.dev/post-v1-querybatch has its format; https://api.osv.dev is the public one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from services.builder.ports import Pin
from so1s.errors import TemporaryError

_SECONDS = 20
_MOST = 1000
"""Queries in one request."""


class OsvAdvisories:
    """See `ports.Advisories`."""

    def __init__(self, url: str) -> None:
        """Ask the server at a URL, such as `https://api.osv.dev`."""
        self._url = url.rstrip("/")

    async def of(self, packages: Sequence[Pin]) -> Mapping[Pin, list[str]]:
        """See `ports.Advisories`."""
        found: dict[Pin, list[str]] = {}
        waiting = [(pin, _query(pin)) for pin in packages]
        try:
            async with httpx.AsyncClient(timeout=_SECONDS) as client:
                while waiting:
                    asked, waiting = waiting[:_MOST], waiting[_MOST:]
                    results = await self._ask(client, [query for _pin, query in asked])
                    for (pin, query), result in zip(asked, results, strict=True):
                        found.setdefault(pin, []).extend(each["id"] for each in result.get("vulns", []))
                        if token := result.get("next_page_token"):
                            waiting.append((pin, query | {"page_token": token}))
        except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise TemporaryError(f"{self._url} does not tell of vulnerabilities: {error!r}") from error
        return {pin: sorted(set(ids)) for pin, ids in found.items() if ids}

    async def _ask(self, client: httpx.AsyncClient, queries: Sequence[Any]) -> list[dict[str, Any]]:
        answer = await client.post(f"{self._url}/v1/querybatch", json={"queries": queries})
        return answer.raise_for_status().json()["results"]


def _query(pin: Pin) -> dict[str, Any]:
    name, version = pin
    return {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}

"""The API of a builder."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from services.console.ports import NotTold
from so1s.errors import Unreachable

_SECONDS = 10.0


class HttpBuilds:
    """See `ports.Builds`."""

    def __init__(self, url: str) -> None:
        """Ask the builder at a URL, such as `http://so1s-builder:8000`."""
        self._url = url.rstrip("/")
        self._trusted = ssl.create_default_context()

    async def of_account(self, account: str, chosen: Mapping[str, str]) -> list[dict[str, Any]]:
        """See `ports.Builds`."""
        return _json(await self._ask([], {**chosen, "account": account}))["builds"]

    async def log(self, account: str, model: str, version: str) -> str:
        """See `ports.Builds`."""
        return (await self._ask([account, model, version, "log"], {})).text

    async def lines(self, account: str, model: str, version: str, after: int) -> dict[str, Any]:
        """See `ports.Builds`."""
        return _json(await self._ask([account, model, version, "log", "lines"], {"after": str(after)}))

    async def _ask(self, path: list[str], said: Mapping[str, str]) -> httpx.Response:
        url = "/".join([f"{self._url}/v1/builds", *(quote(part, safe="") for part in path)])
        try:
            async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False, verify=self._trusted) as http:
                answer = await http.get(url, params=said)
        except httpx.HTTPError as error:
            raise Unreachable(f"the builder does not answer ({error!r})") from error
        if answer.is_client_error:
            raise NotTold(answer.status_code, str(_json(answer).get("error", "")))
        if not answer.is_success:
            raise Unreachable(f"the builder answers with HTTP {answer.status_code}")
        return answer


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        return answer.json()
    except ValueError as error:
        raise Unreachable(f"HTTP {answer.status_code}, which is no answer of a builder") from error

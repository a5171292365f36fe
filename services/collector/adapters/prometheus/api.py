"""Prometheus' HTTP API.

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from so1s.errors import Unreachable

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Value:
    """One element of a query's result."""

    labels: Mapping[str, str]
    number: float


@dataclass(frozen=True, slots=True)
class Series:
    """What was scraped of one series in a span."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[int, float]]
    """Milliseconds since the epoch and numbers, oldest first."""


class TokenFile(httpx.Auth):
    """A bearer token that is read for each request, since it is renewed in its file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Add the token as it is now."""
        token = await asyncio.to_thread(self._path.read_text)
        request.headers["authorization"] = f"Bearer {token.strip()}"
        yield request


class Prometheus:
    """A server that answers what was the case at a moment."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def query(self, promql: str, at_ms: int) -> list[Value]:
        """Evaluate a query that answers a vector, at a moment; what is not a number is left out.

        Raises:
            Unreachable: it gives no answer, so that nobody knows.
        """
        found = [Value(each["metric"], float(each["value"][1])) for each in await self._ask(promql, at_ms)]
        return [value for value in found if math.isfinite(value.number)]

    async def samples(self, selector: str, over_ms: int, at_ms: int) -> list[Series]:
        """Everything that was scraped of some series in the span that ends at a moment.

        Raises:
            Unreachable: as for a query.
        """
        return [
            Series(each["metric"], [(round(at * 1000), float(number)) for at, number in each["values"]])
            for each in await self._ask(f"{selector}[{over_ms}ms]", at_ms)
        ]

    async def _ask(self, promql: str, at_ms: int) -> list[dict[str, Any]]:
        # Thanos would answer for the stores that it reaches; Prometheus knows no such parameter.
        form = {"query": promql, "time": f"{at_ms / 1000:.3f}", "partial_response": "false"}
        try:
            answer = await self._http.post("/api/v1/query", data=form)
            body = answer.json() if answer.is_success else _refusal(answer)
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"Prometheus at {self._http.base_url} does not answer: {error!r}") from error
        if body["status"] != "success":
            raise Unreachable(f"Prometheus at {self._http.base_url} answers: {body.get('error')}")
        return body["data"]["result"]


def in_promql(pattern: str) -> str:
    """A regular expression within a PromQL string."""
    return pattern.replace("\\", "\\\\")


def _refusal(answer: httpx.Response) -> dict[str, Any]:
    """What an answer that is none says: Prometheus' own JSON, or the text of a proxy before it."""
    text = answer.text[:_SHOWN_CHARACTERS]
    return {"status": "error", "error": f"{answer.status_code} {text}"}

"""Load on an endpoint: who answered, how fast, and whether any request failed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

VARIANT_HEADER = "x-so1s-variant"
_OK = 200
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_SIGMAS = 4.0


@dataclass
class Tally:
    """What a load saw."""

    by_variant: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    first_error: str = ""

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self.by_variant.total() + self.failed


class Load:
    """A few clients that ask an endpoint again and again."""

    def __init__(self, url: str, gateway: str, body: Any, *, clients: int = 6) -> None:
        """Make a load.

        Args:
            url: of the endpoint; its host goes into the Host header.
            gateway: where to connect, since names under localhost resolve in browsers only.
            body: of each request.
            clients: how many ask at once.
        """
        self.tally = Tally()
        self._headers = {"host": urlsplit(url).netloc, "content-type": "application/json"}
        self._url = gateway + "/predict"
        self._body = json.dumps(body).encode()
        self._clients = clients
        self._tasks: list[asyncio.Task[None]] = []
        self._earlier: list[Tally] = []

    @property
    def requests(self) -> int:
        """How many requests were sent in all."""
        return sum(tally.requests for tally in [*self._earlier, self.tally])

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(tally.failed for tally in [*self._earlier, self.tally])

    async def __aenter__(self) -> Self:
        """Start."""
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answered(self, requests: int) -> Tally:
        """Wait for so many answers from now on, and tally them alone."""
        self._earlier.append(self.tally)
        self.tally = tally = Tally()
        while tally.requests < requests:  # noqa: ASYNC110 - the clients do not tell
            await asyncio.sleep(0.02)
        return tally

    async def _ask(self) -> None:
        # Not httpx, whose client takes as much of a core as all that answers it.
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=self._headers) as client:
            while True:
                tally = self.tally
                try:
                    async with client.post(self._url, data=self._body) as answer:
                        text = await answer.text(errors="replace")
                except (aiohttp.ClientError, TimeoutError) as error:
                    _note_failure(tally, repr(error))
                    continue
                if answer.status == _OK:
                    tally.by_variant[answer.headers.get(VARIANT_HEADER, "?")] += 1
                else:
                    _note_failure(tally, f"{answer.status} {text[:100]}")


def _note_failure(tally: Tally, error: str) -> None:
    tally.failed += 1
    tally.first_error = tally.first_error or error


def binomial_bounds(requests: int, share: float) -> tuple[int, int]:
    """Between which counts a share of so many requests lies, but for one time in 16,000.

    The normal approximation of the binomial distribution, four standard deviations to each side.
    """
    spread = _SIGMAS * sqrt(requests * share * (1 - share))
    return max(0, round(requests * share - spread)), min(requests, round(requests * share + spread))

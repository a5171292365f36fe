"""`GET /v1/chains/ID`: what became of what was said."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.console import chains
from services.console.api.door import Door
from services.console.api.problems import answering
from services.console.metrics import WAITS
from so1s.errors import InvalidInput
from so1s.store import Store

_LONGEST_WAIT_SECONDS = 30
"""Proxies end what says nothing for a minute."""
_LOOK_SECONDS = 0.2
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass
class News:
    """Waits for events of chains, in turns with other replicas that record them."""

    store: Store
    most: int
    """Who waits at once; further ones are answered at once."""
    waiting: int = 0

    async def wait(self, request: Request, chain: tuple[str, str], known: int, seconds: float) -> None:
        """Return when a chain has more events than are known, the time is over, or nobody listens."""
        if self.waiting >= self.most:
            return
        self.waiting += 1
        WAITS.set(self.waiting)
        try:
            await self._look(request, chain, known, time.monotonic() + seconds)
        finally:
            self.waiting -= 1
            WAITS.set(self.waiting)

    async def _look(self, request: Request, chain: tuple[str, str], known: int, deadline: float) -> None:
        while time.monotonic() < deadline and not await request.is_disconnected():
            async with self.store.read() as connection:
                if await chains.size(connection, *chain) > known:
                    return
            await asyncio.sleep(_LOOK_SECONDS)


def routes(door: Door, store: Store, news: News) -> list[Route]:
    """The events of a chain of the token's account, oldest first, a page at a time.

    `?known=3&wait_seconds=20` waits until there are more than three; `known` of an answer is what the next
    question says. An account that has no such chain is
    answered as one whose chain has no event yet.
    """

    async def chain(request: Request) -> Response:
        token = await door.admit(request)
        asked = (token.account, request.path_params["id"])
        known = _integer(request, "known", 1_000_000)
        if seconds := _integer(request, "wait_seconds", _LONGEST_WAIT_SECONDS):
            await news.wait(request, asked, known, seconds)
        async with store.read() as connection:
            events, known = await chains.read(connection, *asked, known)
        said = f'{{"known": {known}, "events": [{", ".join(events)}]}}'
        return Response(said, media_type="application/json")

    return [Route("/v1/chains/{id:path}", answering(chain))]


def _integer(request: Request, name: str, most: int) -> int:
    said = request.query_params.get(name, "0")
    if not _NUMBER.fullmatch(said) or int(said) > most:
        raise InvalidInput.of(name, said, f"allowed: an integer from 0 to {most}")
    return int(said)

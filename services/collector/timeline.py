"""The clock of a source that knows the past: behind the real one, and no faster than the source answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.collector.domain.grid import floor
from services.collector.store import sampled_until
from so1s.errors import Unreachable
from so1s.store import Store

log = structlog.get_logger()

_AGAIN_SECONDS = 2.0


class Timeline:
    """The moment that is looked at: one end of a window after the other.

    A moment that could not be looked at is looked at again. So a source that was away for an hour is asked
    for each window of that hour, and whoever starts goes on from what was sampled last.
    """

    def __init__(
        self,
        store: Store,
        clock_ms: Callable[[], int],
        *,
        window_seconds: int,
        settle_seconds: float,
        reach_seconds: float,
    ) -> None:
        """Take the real clock.

        Args:
            store: knows what was sampled.
            clock_ms: milliseconds since the epoch.
            window_seconds: the length of a window.
            settle_seconds: how long after a moment everything is known of it.
            reach_seconds: how far back the source knows; what is older is said as gaps.
        """
        self._store = store
        self._clock_ms = clock_ms
        self._window_seconds = window_seconds
        self._settle_ms = int(settle_seconds * 1000)
        self._reach_ms = int(reach_seconds * 1000)
        self._now_ms = 0
        self._looked_ms = 0

    def now_ms(self) -> int:
        """The moment that is looked at."""
        return self._now_ms

    async def follow(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look at the next moment, as soon as everything is known of it.

        The first one is that which was sampled last: whoever was stopped in the middle of it is made up for.
        """
        moment_ms = await self._next()
        if (early_ms := moment_ms + self._settle_ms - self._clock_ms()) > 0:
            await asyncio.sleep(early_ms / 1000)
        self._now_ms = moment_ms
        try:
            await look()
            self._looked_ms = moment_ms
        except Unreachable as error:
            log.warning("nothing is sampled until its source answers", reason=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _next(self) -> int:
        async with self._store.read() as connection:
            sampled_ms = await sampled_until(connection)
        settled_ms = self._clock_ms() - self._settle_ms
        oldest_ms = settled_ms if sampled_ms is None and not self._looked_ms else settled_ms - self._reach_ms
        width_ms = self._window_seconds * 1000
        return floor(max(oldest_ms, sampled_ms or 0, self._looked_ms + width_ms), self._window_seconds)

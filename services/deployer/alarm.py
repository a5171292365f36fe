"""The alarm: who records a change, or sees one, rings, so that the reconciler need not look all the time."""

from __future__ import annotations

import asyncio
import contextlib


class Alarm:
    """Rings in this process alone: what another replica records is found by looking."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Let the next round begin at once, or follow the one that goes on."""
        self._rung.set()

    def hush(self) -> None:
        """A round begins: only what changes from now on asks for another one."""
        self._rung.clear()

    async def wait(self, most_seconds: float) -> None:
        """Return when it rings, and else when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_seconds):
                await self._rung.wait()

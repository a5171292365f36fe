"""Loops: work that is done again and again, by every replica or by the leader alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from so1s.broker.failures import backoff_seconds, is_stopping
from so1s.metrics import LEADER, LOOP_FAILURES
from so1s.store.leases import Leases

log = structlog.get_logger()

_LEASE = "leader"
_LEASE_SECONDS = 10.0
_RENEW_SECONDS = 3.0
_ANSWER_SECONDS = 3.0
"""How long a renewal may take: with the one before and the wait between, it ends before the lease does."""


class Loop:
    """A function that runs every so often; an error is logged, and it runs again after a backoff."""

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[object]],
        *,
        every_seconds: float,
        leader: bool = True,
    ) -> None:
        """Make a loop.

        Args:
            name: for logs and metrics.
            step: one round of the work.
            every_seconds: between the end of a round and the start of the next.
            leader: run on one replica only.
        """
        self.name = name
        self.leader = leader
        self._step = step
        self._every = every_seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Let the next round begin at once."""
        self._woken.set()

    async def run(self) -> None:
        """Go round until cancelled."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                await self._step()
                failures = 0
            except (Exception, asyncio.CancelledError) as error:
                if is_stopping(error):
                    raise
                failures += 1
                LOOP_FAILURES.labels(self.name).inc()
                log.exception("loop failed; it goes on", loop=self.name)
            await self._wait(backoff_seconds(failures) if failures else self._every)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return


class Leadership:
    """Runs loops while this replica holds the lease; another takes over 10 s after its death."""

    def __init__(self, leases: Leases, holder: str, loops: list[Loop]) -> None:
        self._leases = leases
        self._holder = holder
        self._loops = loops
        self._running: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Campaign, lead, and step down, until cancelled."""
        try:
            while True:
                await self._round()
                await asyncio.sleep(_RENEW_SECONDS)
        finally:
            await self._stop()
            await self._leases.release(_LEASE, self._holder)

    async def _round(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                held = await self._leases.hold(_LEASE, self._holder, _LEASE_SECONDS)
        except (Exception, asyncio.CancelledError) as error:
            if is_stopping(error):
                raise
            reason = f"{type(error).__name__}: {error}"
            log.warning("the lease cannot be renewed; another replica may lead meanwhile", reason=reason)
            held = False
        if held and not self._running:
            log.info("leading")
            self._running = [asyncio.create_task(loop.run()) for loop in self._loops]
        elif not held:
            await self._stop()
        LEADER.set(held)

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []

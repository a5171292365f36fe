"""The clock → samples of usage and health.

Runs on the leader alone. Counters are looked at every second; when a window closes, each subject's samples
and its cursor commit together. After a crash, the cursor and the reading beside it are where it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.collector.domain.grid import floor
from services.collector.domain.steps import (
    Closed,
    Cursor,
    Sample,
    Step,
    beginning,
    gateway_steps,
    is_due,
    replica_steps,
    request_steps,
)
from services.collector.domain.world import (
    Gateway,
    Replica,
    Running,
    Variant,
    of_gateway,
    of_replica,
    of_requests,
)
from services.collector.metrics import SAMPLES
from services.collector.ports import World
from services.collector.scraper import Scraper
from services.collector.store import advance, all_cursors, forget
from so1s.events import UsageSampled
from so1s.events.envelope import Cause
from so1s.events.ids import window_id
from so1s.store import Store

_DAY_MS = 86_400_000


@dataclass
class Sampler:
    """Samples what runs, window by window."""

    store: Store
    world: World
    scraper: Scraper
    gateway: Gateway
    window_seconds: int
    now_ms: Callable[[], int]
    _sampled_until_ms: int | None = None
    """None until the cursors were read, and again after another replica of the collector moved one."""
    _cursors: dict[str, Cursor] = field(default_factory=dict)
    _recorded: dict[str, Cursor] = field(default_factory=dict)
    """The same as the store has them: behind where there was nothing to say."""

    async def watch(self, every_seconds: float) -> None:
        """Wait for the next multiple of `every_seconds`, so that windows close with a fresh look; look."""
        every_ms = int(every_seconds * 1000)
        await asyncio.sleep((every_ms - self.now_ms() % every_ms) / 1000)
        await self.look()

    async def look(self) -> None:
        """Look at what runs and at its counters, and sample the windows that have closed."""
        boundary_ms = floor(self.now_ms(), self.window_seconds)
        if self._sampled_until_ms is None:
            await self._resume()
        running = await self.world.read()
        await self.scraper.scrape(running, self.now_ms())
        if self._sampled_until_ms is None or boundary_ms > self._sampled_until_ms:
            unmoved = await self._sample(running, Closed(boundary_ms, self.window_seconds))
            self._sampled_until_ms = boundary_ms if unmoved else None
            await self._forget(running, boundary_ms)

    async def _resume(self) -> None:
        async with self.store.read() as connection:
            self._recorded = await all_cursors(connection)
        self._cursors = dict(self._recorded)
        self.scraper.resume({subject: cursor.last for subject, cursor in self._cursors.items()})

    async def _sample(self, running: Running, closed: Closed) -> bool:
        """Sample everything; False where another replica of the collector did so meanwhile."""
        unmoved = [await self._sample_replica(each, closed) for each in running.replicas.values()]
        unmoved += [
            await self._sample_requests(of_requests(cluster), variant, closed)
            for cluster, variant in running.variants.items()
        ]
        unmoved.append(await self._sample_gateway(closed))
        return all(unmoved)

    async def _sample_replica(self, replica: Replica, closed: Closed) -> bool:
        subject = of_replica(replica.uid)
        known = self._known(subject, replica.started_ms)
        accrual = self.scraper.accrual(subject, known.last)
        return await self._take(subject, replica_steps(replica, known, accrual, closed), replica.cause)

    async def _sample_requests(self, subject: str, variant: Variant, closed: Closed) -> bool:
        known = self._known(subject, variant.started_ms)
        accrual = self.scraper.accrual(subject, known.last)
        steps = request_steps(variant, known, accrual, closed)
        return await self._take(subject, steps, variant.replicas[-1].cause)

    async def _sample_gateway(self, closed: Closed) -> bool:
        if self._sampled_until_ms is None:
            return True  # of a window that was not watched from its start nothing is said
        subject = of_gateway(self.gateway)
        steps = gateway_steps(self.gateway, self._known(subject, 0), self.scraper.take_scrapes(), closed)
        return await self._take(subject, steps, cause=None)

    def _known(self, subject: str, born_ms: int) -> Cursor:
        return self._cursors.get(subject) or beginning(born_ms)

    async def _take(self, subject: str, steps: Iterable[Step], cause: Cause | None) -> bool:
        """Commit steps one by one; False where another replica of the collector was quicker."""
        for step in steps:
            if is_due(step, self._recorded.get(subject)) and not await self._record(subject, step, cause):
                return False
            self._cursors[subject] = step.cursor
            self.scraper.close(subject, step.cursor.last)
            _count(step.samples)
        return True

    async def _record(self, subject: str, step: Step, cause: Cause | None) -> bool:
        async with self.store.transaction(cause) as tx:
            if not await advance(tx, subject, self._recorded.get(subject), step.cursor):
                return False
            for sample in step.samples:
                tx.emit(sample, id=self._id(sample))
        self._recorded[subject] = step.cursor
        return True

    def _id(self, sample: Sample) -> str:
        # Windows of another length may start at the same moment.
        subject = f"{sample.key}/{sample.window_seconds}"
        return window_id(self.store.producer, sample.type, subject, sample.window_start)

    async def _forget(self, running: Running, boundary_ms: int) -> None:
        """Let go of replicas whose records are gone, and of requests of which nobody has asked for a day."""
        clusters = running.variants.keys() | running.deployments.keys()
        known = {of_replica(uid) for uid in running.replicas} | {of_requests(each) for each in clusters}
        others = {name: cursor for name, cursor in self._cursors.items() if name not in known}
        gone = [name for name, cursor in others.items() if _is_over(name, cursor, boundary_ms)]
        if not gone:
            return
        async with self.store.transaction() as tx:
            await forget(tx, gone)
        self.scraper.drop(gone)
        for subject in gone:
            self._cursors.pop(subject)
            self._recorded.pop(subject)


def _is_over(subject: str, cursor: Cursor, now_ms: int) -> bool:
    """Whether nobody will go on from a cursor; to a deployment's name one may come back."""
    idle = subject.startswith(of_requests("")) and cursor.sampled_until_ms <= now_ms - _DAY_MS
    return idle or subject.startswith(of_replica(""))


def _count(samples: Iterable[Sample]) -> None:
    for sample in samples:
        if isinstance(sample, UsageSampled):
            SAMPLES.labels(sample.quality).inc()

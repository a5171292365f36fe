"""The clock → samples of usage and health.

Runs on the leader alone. Counters are looked at every second; when a window closes, each subject's samples
and its cursor commit together. After a crash, the cursor and the reading beside it are where it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.collector.domain.grid import Span, floor
from services.collector.domain.samples import (
    corrections,
    gateway_samples,
    health_sample,
    portions,
    replica_samples,
)
from services.collector.domain.world import NOTHING, Deployment, Replica, Running, of_gateway, of_replica
from services.collector.metrics import SAMPLES
from services.collector.ports import World
from services.collector.scraper import Scraper
from services.collector.store import Cursor, advance, all_cursors, forget
from so1s.events import HealthSampled, UsageSampled
from so1s.events.envelope import Cause
from so1s.events.ids import window_id
from so1s.store import Store

Sample = UsageSampled | HealthSampled


@dataclass
class Sampler:
    """Samples what runs, window by window."""

    store: Store
    world: World
    scraper: Scraper
    window_seconds: int
    now_ms: Callable[[], int]
    _sampled_until_ms: int | None = None
    """None until the cursors were read, and again after another replica of the collector moved one."""
    _cursors: dict[str, Cursor] = field(default_factory=dict)
    _running: Running = NOTHING

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
        self._running |= running  # what went away since the last window is sampled a last time
        await self.scraper.scrape(self._running, self.now_ms())
        if self._sampled_until_ms is None or boundary_ms > self._sampled_until_ms:
            unmoved = await self._sample(boundary_ms)
            self._sampled_until_ms = boundary_ms if unmoved else None
            self._running = running
            await self._forget()

    async def _resume(self) -> None:
        async with self.store.read() as connection:
            self._cursors = await all_cursors(connection)
        self.scraper.resume({subject: cursor.last for subject, cursor in self._cursors.items()})

    async def _sample(self, boundary_ms: int) -> bool:
        """Sample everything; False where another replica of the collector did so meanwhile."""
        unmoved = [await self._sample_replica(each, boundary_ms) for each in self._running.replicas.values()]
        unmoved += [
            await self._sample_gateway(deployment, replicas[-1], boundary_ms, replicas[0].started_ms)
            for deployment in self._running.deployments.values()
            if (replicas := self._running.replicas_of(deployment))
        ]
        return all(unmoved)

    async def _sample_replica(self, replica: Replica, boundary_ms: int) -> bool:
        subject = of_replica(replica.uid)
        cursor = self._cursors.get(subject)
        since_ms = cursor.sampled_until_ms if cursor else replica.started_ms
        if (cursor and cursor.ended) or since_ms >= boundary_ms:
            return True
        end_ms = boundary_ms if replica.ended_ms is None else min(replica.ended_ms, boundary_ms)
        accrual = self.scraper.accrual(subject, replica.started_ms)
        found = portions(Span(since_ms, end_ms), accrual, boundary_ms, self.window_seconds)
        samples: list[Sample] = [
            *corrections(replica, sampled_until_ms=since_ms, window_seconds=self.window_seconds),
            *replica_samples(replica, found, window_seconds=self.window_seconds),
        ]
        after = Cursor(boundary_ms, accrual.last, ended=replica.ended_ms == end_ms)
        return await self._commit(subject, samples, after, replica.cause)

    async def _sample_gateway(
        self, deployment: Deployment, newest: Replica, boundary_ms: int, first_ms: int
    ) -> bool:
        subject = of_gateway(deployment)
        cursor = self._cursors.get(subject)
        since_ms = max(first_ms, cursor.sampled_until_ms if cursor else 0)
        if since_ms >= boundary_ms:
            return True
        accrual = self.scraper.accrual(subject, first_ms)
        found = portions(Span(since_ms, boundary_ms), accrual, boundary_ms, self.window_seconds)
        samples: list[Sample] = [*gateway_samples(newest, found, window_seconds=self.window_seconds)]
        if health := health_sample(deployment, found[-1], window_seconds=self.window_seconds):
            samples.append(health)
        return await self._commit(subject, samples, Cursor(boundary_ms, accrual.last), newest.cause)

    async def _commit(self, subject: str, samples: Sequence[Sample], after: Cursor, cause: Cause) -> bool:
        async with self.store.transaction(cause) as tx:
            if not await advance(tx, subject, self._cursors.get(subject), after):
                return False
            for sample in samples:
                tx.emit(sample, id=self._id(sample))
        self._cursors[subject] = after
        self.scraper.close(subject)
        for sample in samples:
            if isinstance(sample, UsageSampled):
                SAMPLES.labels(sample.quality).inc()
        return True

    def _id(self, sample: Sample) -> str:
        # Windows of another length may start at the same moment.
        subject = f"{sample.key}/{sample.window_seconds}"
        return window_id(self.store.producer, sample.type, subject, sample.window_start)

    async def _forget(self) -> None:
        """Let go of replicas whose records are gone. A gateway's counters outlive a deployment's."""
        known = {of_replica(uid) for uid in self._running.replicas}
        gone = [name for name in self._cursors if name.startswith(of_replica("")) and name not in known]
        if not gone:
            return
        async with self.store.transaction() as tx:
            await forget(tx, gone)
        self.scraper.drop(gone)
        for subject in gone:
            del self._cursors[subject]

"""The clock → samples of usage and health.

Runs on the leader alone. Counters are looked at every second; when a window closes, each subject's samples
and its cursor commit together. After a crash, the cursor and the reading beside it are where it goes on:
what was missed is said in stretches, a transaction each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from services.collector.domain.counters import Accrual, Scrapes, after, born
from services.collector.domain.grid import Span, ceiling, floor, stretches
from services.collector.domain.samples import (
    corrections,
    gateway_sample,
    health_sample,
    portions,
    replica_samples,
    request_samples,
)
from services.collector.domain.world import (
    NOTHING,
    Deployment,
    Gateway,
    Replica,
    Running,
    of_gateway,
    of_replica,
    of_requests,
)
from services.collector.metrics import SAMPLES
from services.collector.ports import World
from services.collector.scraper import Scraper
from services.collector.store import Cursor, advance, all_cursors, forget
from so1s.events import GatewaySampled, HealthSampled, UsageCorrected, UsageSampled
from so1s.events.envelope import Cause
from so1s.events.ids import window_id
from so1s.store import Store

Sample = UsageSampled | UsageCorrected | HealthSampled | GatewaySampled


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
            await self._sample_requests(deployment, replicas, boundary_ms)
            for deployment in self._running.deployments.values()
            if (replicas := self._running.replicas_of(deployment))
        ]
        if self._sampled_until_ms is not None:  # the window was watched from its start
            unmoved.append(await self._sample_gateway(boundary_ms))
        return all(unmoved)

    async def _sample_replica(self, replica: Replica, boundary_ms: int) -> bool:
        subject = of_replica(replica.uid)
        known = self._known(subject, replica.started_ms)
        if known.ended:
            return True
        end_ms = boundary_ms
        if replica.ended_ms is not None and replica.ended_ms <= boundary_ms:
            end_ms = replica.ended_ms
            if floor(end_ms, self.window_seconds) < floor(known.sampled_until_ms, self.window_seconds):
                return await self._correct(replica, known, end_ms)
        for span, accrual in self._due(subject, known, ceiling(end_ms, self.window_seconds)):
            life = Span(span.start_ms, min(span.end_ms, end_ms))
            found = portions(life, accrual, span.end_ms, self.window_seconds)
            samples = replica_samples(replica, found, window_seconds=self.window_seconds)
            ended = replica.ended_ms is not None and replica.ended_ms <= span.end_ms
            cursor = Cursor(span.end_ms, accrual.last, ended)
            if not await self._commit(subject, samples, cursor, replica.cause):
                return False
        return True

    async def _correct(self, replica: Replica, known: Cursor, end_ms: int) -> bool:
        """Take back what was sampled past a replica's end, the newest first: so the cursor moves back."""
        subject = of_replica(replica.uid)
        first_ms = floor(end_ms, self.window_seconds)
        for span in reversed([*stretches(first_ms, known.sampled_until_ms, self.window_seconds)]):
            samples = corrections(replica, span, window_seconds=self.window_seconds)
            cursor = Cursor(span.start_ms, known.last, ended=span.start_ms == first_ms)
            if not await self._commit(subject, samples, cursor, replica.cause):
                return False
        return True

    async def _sample_requests(
        self, deployment: Deployment, replicas: Sequence[Replica], boundary_ms: int
    ) -> bool:
        subject = of_requests(deployment)
        oldest, newest = replicas[0], replicas[-1]
        known = self._known(subject, oldest.started_ms)
        # A deployment that comes back has no windows for its absence.
        known = replace(known, sampled_until_ms=max(known.sampled_until_ms, oldest.started_ms))
        for span, accrual in self._due(subject, known, boundary_ms):
            found = portions(span, accrual, span.end_ms, self.window_seconds)
            samples: list[Sample] = [*request_samples(newest, found, window_seconds=self.window_seconds)]
            if health := health_sample(deployment, found[-1], window_seconds=self.window_seconds):
                samples.append(health)
            if not await self._commit(subject, samples, Cursor(span.end_ms, accrual.last), newest.cause):
                return False
        return True

    async def _sample_gateway(self, boundary_ms: int) -> bool:
        """Whether it answers is momentary: windows that were missed stay unsaid."""
        subject = of_gateway(self.gateway)
        if self._known(subject, 0).sampled_until_ms >= boundary_ms:
            return True
        sample = gateway_sample(
            self.gateway, self.scraper.of_gateway, boundary_ms, window_seconds=self.window_seconds
        )
        self.scraper.of_gateway = Scrapes()
        cursor = Cursor(boundary_ms, born(boundary_ms))
        return sample is None or await self._commit(subject, [sample], cursor, cause=None)

    def _known(self, subject: str, born_ms: int) -> Cursor:
        return self._cursors.get(subject) or Cursor(born_ms, born(born_ms))

    def _due(self, subject: str, known: Cursor, until_ms: int) -> Iterator[tuple[Span, Accrual]]:
        """What is to be said of a subject, a transaction each, oldest first.

        What accrued belongs to the newest window: until that one is said, the cursor keeps its reading.
        """
        for span in stretches(known.sampled_until_ms, until_ms, self.window_seconds):
            is_newest = span.end_ms == until_ms
            yield span, self.scraper.accrual(subject, known.last) if is_newest else after(known.last)

    async def _commit(
        self, subject: str, samples: Sequence[Sample], cursor: Cursor, cause: Cause | None
    ) -> bool:
        async with self.store.transaction(cause) as tx:
            if not await advance(tx, subject, self._cursors.get(subject), cursor):
                return False
            for sample in samples:
                tx.emit(sample, id=self._id(sample))
        self._cursors[subject] = cursor
        self.scraper.close(subject, cursor.last)
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

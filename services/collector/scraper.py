"""The counters → what accrued of each subject since it was sampled last, in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping

import structlog

from services.collector.domain.counters import Accrual, Reading, Scrapes, accrue, after, born
from services.collector.domain.world import Replica, Running, of_replica, of_requests
from services.collector.metrics import SCRAPES
from services.collector.ports import GatewayMetrics, ReplicaMetrics
from so1s.errors import TemporaryError, Unreachable

log = structlog.get_logger()


class Scraper:
    """Looks at counters, and keeps what they gained."""

    def __init__(self, gateway: GatewayMetrics, replicas: ReplicaMetrics) -> None:
        self._gateway = gateway
        self._replicas = replicas
        self._accruals: dict[str, Accrual] = {}
        self._scrapes = Scrapes()
        self._over: set[str] = set()
        """The uids of replicas that were read after their end."""

    def resume(self, readings: Mapping[str, Reading]) -> None:
        """Go on from the readings that the store knows, and forget the rest."""
        self._scrapes = Scrapes()
        self._over = set()
        self._accruals = {subject: after(reading) for subject, reading in readings.items()}

    def accrual(self, subject: str, last: Reading) -> Accrual:
        """What accrued of a subject since its last sample; since a reading, where it is not known yet."""
        return self._accruals.get(subject) or after(last)

    def close(self, subject: str, last: Reading) -> None:
        """Begin anew where what accrued until a reading is in the samples."""
        if subject in self._accruals and self._accruals[subject].last == last:
            self._accruals[subject] = after(last)

    def take_scrapes(self) -> Scrapes:
        """How often the gateway was asked, and answered, since this was called last."""
        taken, self._scrapes = self._scrapes, Scrapes()
        return taken

    def drop(self, subjects: Iterable[str]) -> None:
        """Forget subjects that are no more."""
        for subject in subjects:
            self._accruals.pop(subject, None)

    async def scrape(self, running: Running, now_ms: int) -> None:
        """Look once; a source that does not answer is left out.

        Raises:
            Unreachable: a source that knows the past does not answer: later it will tell of this moment.
        """
        await self._scrape_replicas(running, now_ms)
        await self._scrape_gateway(running, now_ms)

    async def _scrape_replicas(self, running: Running, now_ms: int) -> None:
        last = {uid: self._last(of_replica(uid), each.started_ms) for uid, each in running.replicas.items()}
        due = [each for each in running.replicas.values() if self._is_due(each, last[each.uid], now_ms)]
        _, readings = await _answer("replicas", self._replicas.read(due, last, now_ms))
        over = {each.uid for each in due if each.ended_ms is not None and each.ended_ms <= now_ms}
        self._over = (self._over | over) & running.replicas.keys()
        for uid, reading in (readings or {}).items():
            self._add(of_replica(uid), last[uid], reading)

    def _is_due(self, replica: Replica, last: Reading, now_ms: int) -> bool:
        """Whether it lived since its last reading; after its end it is read once."""
        ended = replica.ended_ms is not None and (replica.ended_ms <= last.at_ms or replica.uid in self._over)
        return replica.started_ms < now_ms and not ended

    async def _scrape_gateway(self, running: Running, now_ms: int) -> None:
        last = {
            cluster: self._last(of_requests(cluster), variant.started_ms)
            for cluster, variant in running.variants.items()
            if variant.started_ms < now_ms
        }
        answered, counted = await _answer("gateway", self._gateway.read(last, now_ms))
        if answered and counted is None:
            return  # of this moment nobody knows whether the gateway answered
        self._scrapes = self._scrapes.and_one(answered=answered)
        if counted is None:
            return
        for cluster, before in last.items():
            # A variant that the gateway says nothing of has answered nothing.
            reading = counted.get(cluster, Reading(now_ms, {}))
            self._add(of_requests(cluster), before, reading)

    def _last(self, subject: str, born_ms: int) -> Reading:
        return self.accrual(subject, born(born_ms)).last

    def _add(self, subject: str, last: Reading, reading: Reading) -> None:
        self._accruals[subject] = accrue(self.accrual(subject, last), reading)


async def _answer(
    source: str, answer: Awaitable[Mapping[str, Reading] | None]
) -> tuple[bool, Mapping[str, Reading] | None]:
    """Whether a source answered, and what; nothing where it does not know."""
    try:
        readings = await answer
    except TemporaryError as error:
        SCRAPES.labels(source, "failed").inc()
        if isinstance(error, Unreachable):
            raise
        log.warning("scrape failed", source=source, reason=str(error))
        return False, None
    SCRAPES.labels(source, "unknown" if readings is None else "read").inc()
    return True, readings

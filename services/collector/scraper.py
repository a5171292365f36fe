"""The counters → what accrued of each subject since it was sampled last, in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping

import structlog

from services.collector.domain.counters import Accrual, Reading, Scrapes, accrue, after, born
from services.collector.domain.world import Running, of_replica, of_requests
from services.collector.metrics import SCRAPES
from services.collector.ports import GatewayMetrics, ReplicaMetrics
from so1s.errors import TemporaryError

log = structlog.get_logger()


class Scraper:
    """Looks at counters, and keeps what they gained."""

    def __init__(self, gateway: GatewayMetrics, replicas: ReplicaMetrics) -> None:
        self._gateway = gateway
        self._replicas = replicas
        self._accruals: dict[str, Accrual] = {}
        self._scrapes = Scrapes()

    def resume(self, readings: Mapping[str, Reading]) -> None:
        """Go on from the readings that the store knows, and forget the rest."""
        self._scrapes = Scrapes()
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
        """Look once; a source that does not answer is left out."""
        alive = [replica for replica in running.replicas.values() if replica.ended_ms is None]
        for uid, reading in (await _answer("replicas", self._replicas.read(alive)) or {}).items():
            self._add(of_replica(uid), running.replicas[uid].started_ms, reading)
        counted = await _answer("gateway", self._gateway.read())
        self._scrapes = self._scrapes.and_one(answered=counted is not None)
        if counted is None:
            return
        for deployment in running.deployments.values():
            if first_ms := running.first_start_ms(deployment):
                # A variant that the gateway says nothing of has answered nothing.
                reading = counted.get(deployment.cluster, Reading(now_ms, {}))
                self._add(of_requests(deployment), first_ms, reading)

    def _add(self, subject: str, born_ms: int, reading: Reading) -> None:
        self._accruals[subject] = accrue(self.accrual(subject, born(born_ms)), reading)


async def _answer(source: str, answer: Awaitable[Mapping[str, Reading]]) -> Mapping[str, Reading] | None:
    try:
        readings = await answer
    except TemporaryError as error:
        SCRAPES.labels(source, "failed").inc()
        log.warning("scrape failed", source=source, reason=str(error))
        return None
    SCRAPES.labels(source, "read").inc()
    return readings

"""How many replicas a deployment shall have, from what its replicas show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from services.deployer.adapters.processes import scraper
from services.deployer.adapters.processes.replica import Parts, Replica
from services.deployer.domain import rollout
from services.deployer.domain.autoscaling import History, behavior_for, decide
from services.deployer.domain.readings import Change, Reading, metrics
from so1s.events import Workload

log = structlog.get_logger()


class Autoscaler:
    """The autoscaler of one deployment; `desired` is its decision."""

    def __init__(self, parts: Parts, desired: int) -> None:
        self.desired = desired
        self._parts = parts
        self._history = History()
        self._readings: dict[str, Reading] = {}
        self._next_at = 0.0

    async def step(self, workload: Workload, replicas: Sequence[Replica], outdated: int) -> None:
        """Keep within the bounds, as soon as a rollout permits, and decide anew once a period.

        Args:
            workload: as the deployment shall be.
            replicas: to read figures from.
            outdated: how many of them are ready, and of an earlier workload.
        """
        self.desired = rollout.size(workload, self.desired, outdated)
        least, most = rollout.bounds(workload.scaling)
        if least < most and self.desired <= most and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + self._parts.options.autoscale_period_seconds
            self._decide(workload, await self._changes(replicas))

    def _decide(self, workload: Workload, changes: Sequence[Change]) -> None:
        scaling = workload.scaling
        decision = decide(
            self.desired,
            (scaling.min_replicas, scaling.max_replicas),
            metrics(scaling, workload.resources, changes),
            history=self._history,
            behavior=behavior_for(scaling, self._parts.options.behavior),
            now=time.time(),
        )
        self._history = decision.history
        if decision.replicas != self.desired:
            log.info("scaled", before=self.desired, after=decision.replicas, reason=decision.reason)
            self.desired = decision.replicas

    async def _changes(self, replicas: Sequence[Replica]) -> list[Change]:
        records = [replica.record for replica in replicas]
        readings = await asyncio.gather(*(scraper.read(self._parts.http, record) for record in records))
        before, self._readings = (
            self._readings,
            dict(zip((each.uid for each in records), readings, strict=True)),
        )
        return [
            Change(before.get(record.uid), reading, ready=record.takes_traffic)
            for record, reading in zip(records, readings, strict=True)
        ]

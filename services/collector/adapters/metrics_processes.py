"""What replicas use that are processes of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import psutil

from services.collector.domain.counters import Reading
from services.collector.domain.samples import CPU_MICROSECONDS, MEMORY_BYTES
from services.collector.domain.world import Replica

_SAME_START_SECONDS = 1.0
"""A process's start is known to a clock tick, and shifts as the system's clock is set."""


class ProcessMetrics:
    """ReplicaMetrics by psutil: a replica's process with its descendants."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms

    async def read(
        self, replicas: Sequence[Replica], last: Mapping[str, Reading], *_: object
    ) -> Mapping[str, Reading]:
        """Read the processes of the replicas that run now."""
        return await asyncio.to_thread(self._read_all, replicas, last)

    def _read_all(self, replicas: Sequence[Replica], last: Mapping[str, Reading]) -> dict[str, Reading]:
        alive = [replica for replica in replicas if replica.ended_ms is None]
        readings = {replica.uid: self._read(replica, last[replica.uid]) for replica in alive}
        return {uid: reading for uid, reading in readings.items() if reading}

    def _read(self, replica: Replica, last: Reading) -> Reading | None:
        if replica.pid is None or replica.pid_started_at is None:
            return None
        try:
            process = psutil.Process(replica.pid)
            if abs(process.create_time() - replica.pid_started_at) > _SAME_START_SECONDS:
                return None  # the pid is another process's by now
            tree = [process, *process.children(recursive=True)]
        except psutil.Error:
            return None
        epoch = f"{replica.pid}/{replica.pid_started_at}"
        at_ms = self._now_ms()
        spent, resident = _measure(tree)
        if last.epoch == epoch:
            # A child that ended between two looks may be missing from both sums; counters never fall.
            spent = max(spent, last.counters.get(CPU_MICROSECONDS, 0))
        return Reading(at_ms, {CPU_MICROSECONDS: spent}, {MEMORY_BYTES: resident}, epoch)


def _measure(tree: list[psutil.Process]) -> tuple[int, int]:
    """CPU time in microseconds, with that of children that have ended, and resident bytes."""
    spent = resident = 0
    for process in tree:
        try:
            with process.oneshot():
                spent += round(sum(process.cpu_times()[:4]) * 1_000_000)
                resident += process.memory_info().rss
        except psutil.Error:
            continue
    return spent, resident

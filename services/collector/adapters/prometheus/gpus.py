"""For how long the GPUs of pods worked, by NVIDIA's DCGM exporter.

https://github.com/NVIDIA/dcgm-exporter/blob/main/METRICS.md

The exporter runs in a pod of its own: where Prometheus puts that one's labels on the series, it keeps those
of the pod that has the GPU as `exported_…`. A GPU may be scraped twice over, and by another exporter than
before: its samples are of one gauge, whichever series they are in.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from services.collector.adapters.prometheus.api import Series, in_promql
from services.collector.adapters.prometheus.history import History
from services.collector.domain.counters import Reading
from services.collector.domain.gauges import Stretch, progress
from services.collector.domain.samples import GPU_MICROSECONDS
from services.collector.domain.world import Replica

Pod = tuple[str, str]
"""Namespace and name."""
Samples = list[tuple[int, float]]


@dataclass(frozen=True)
class GpuMetric:
    """A gauge of how busy a GPU is."""

    name: str
    whole: int
    """What it says of one that works all the time."""


GPU_UTIL = GpuMetric("DCGM_FI_DEV_GPU_UTIL", 100)
GR_ENGINE_ACTIVE = GpuMetric("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1)


class Gpus:
    """The GPUs that pods of accounts have."""

    def __init__(self, history: History, metric: GpuMetric, *, namespace_prefix: str) -> None:
        """Take where, what is asked for, and what an account's namespace begins with."""
        self._history = history
        self._whole = metric.whole
        self._prefix = namespace_prefix
        ours = f'namespace=~"{in_promql(re.escape(namespace_prefix))}.+"'
        self._selectors = {
            "": f'{metric.name}{{{ours},pod!="",exported_pod=""}}',
            "exported_": f'{metric.name}{{exported_{ours},exported_pod!=""}}',
        }

    async def added(
        self,
        readings: Mapping[str, Reading],
        replicas: Mapping[str, Replica],
        last: Mapping[str, Reading],
        at_ms: int,
    ) -> Mapping[str, Reading]:
        """Readings, by uid, with what the GPUs of each replica did since the one before it.

        Raises:
            Unreachable: Prometheus does not answer.
        """
        taken = {uid: self._taken(last[uid], at_ms) for uid in readings if replicas[uid].gpus}
        if not taken:
            return readings
        since_ms = min(min([last[uid].at_ms, *known.values()]) for uid, known in taken.items())
        found = await self._samples(since_ms, at_ms)
        return {
            uid: self._with(reading, found[self._pod(replicas[uid])], taken[uid], last[uid].at_ms)
            if uid in taken
            else reading
            for uid, reading in readings.items()
        }

    def _taken(self, last: Reading, at_ms: int) -> Mapping[str, int]:
        """What is known of a replica's GPUs; one of which nothing came for so long is given up."""
        known = last.shown.taken_ms if last.shown else {}
        return {gpu: ms for gpu, ms in known.items() if at_ms - ms <= self._history.lookback_ms}

    def _pod(self, replica: Replica) -> Pod:
        return f"{self._prefix}{replica.account}", replica.pod or ""

    async def _samples(self, since_ms: int, until_ms: int) -> Mapping[Pod, Mapping[str, Samples]]:
        """The shares of each pod's GPUs, by GPU."""
        asked = (self._history.samples(each, since_ms, until_ms) for each in self._selectors.values())
        found: defaultdict[Pod, defaultdict[str, Samples]] = defaultdict(lambda: defaultdict(list))
        for prefix, series in zip(self._selectors, await asyncio.gather(*asked), strict=True):
            for pod, gpu, samples in self._named(series, prefix):
                found[pod][gpu] += samples
        return found

    def _named(self, found: Iterable[Series], prefix: str) -> Iterable[tuple[Pod, str, Samples]]:
        for series in found:
            pod = series.labels[f"{prefix}namespace"], series.labels[f"{prefix}pod"]
            shares = [(at_ms, number / self._whole) for at_ms, number in series.samples]
            yield pod, _gpu(series.labels), shares

    def _with(
        self, reading: Reading, found: Mapping[str, Samples], taken: Mapping[str, int], since_ms: int
    ) -> Reading:
        """A reading that also says what the GPUs did until its moment."""
        told = progress(found, taken, Stretch(since_ms, reading.at_ms, self._history.stale_ms))
        return replace(
            reading,
            integrals={} if told.microseconds is None else {GPU_MICROSECONDS: told.microseconds},
            inexact=reading.inexact or told.inexact,
            shown=reading.shown and replace(reading.shown, taken_ms=told.taken_ms),
        )


def _gpu(labels: Mapping[str, str]) -> str:
    """Which GPU a series is of, or which instance of one that is partitioned."""
    whole = labels.get("UUID") or labels.get("gpu", "")
    return f"{whole}/{labels['GPU_I_ID']}" if labels.get("GPU_I_ID") else whole

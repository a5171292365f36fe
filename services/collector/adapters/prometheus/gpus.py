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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from services.collector.adapters.prometheus.api import Series, in_promql
from services.collector.adapters.prometheus.history import History
from services.collector.domain.counters import Reading, Shown
from services.collector.domain.gauges import Look, Sample, progress
from services.collector.domain.samples import GPU_MICROSECONDS
from services.collector.domain.world import Replica
from services.collector.metrics import SCRAPES
from so1s.errors import Unreachable

Pod = tuple[str, str]
"""Namespace and name."""
Found = Mapping[str, list[Sample]]
"""The samples of a pod's GPUs, by GPU."""

_LATE_MS = 300_000
"""Samples are asked for from so long before the last look on, or from as long as one of them speaks: so what
came late is found, and what could not be told then. It is the same for all and always, so that no GPU that
is silent makes Prometheus tell more of all others."""

log = structlog.get_logger()


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

    async def add_to(
        self,
        readings: Mapping[str, Reading],
        replicas: Mapping[str, Replica],
        last: Mapping[str, Reading],
        at_ms: int,
    ) -> Mapping[str, Reading]:
        """Readings, by uid, with what the GPUs of each replica did since the one before it.

        Where Prometheus does not tell, the readings are inexact, and a later look takes what it did not: who
        cannot be told of GPUs is told of all else.
        """
        uids = [uid for uid in readings if replicas[uid].gpus]
        if not uids:
            return readings
        found = await self._told(self._since_ms([last[uid] for uid in uids]), at_ms)
        extended = {uid: self._extend(readings[uid], last[uid], replicas[uid], found) for uid in uids}
        return {**readings, **extended}

    def _since_ms(self, last: Sequence[Reading]) -> int:
        """From where on samples are asked for; the first look of all goes back to where a replica began."""
        looked = [each.at_ms for each in last if each.shown]
        begin_ms = max(looked) if looked else min(each.at_ms for each in last)
        return begin_ms - max(_LATE_MS, self._history.stale_ms)

    def _pod(self, replica: Replica) -> Pod:
        return f"{self._prefix}{replica.account}", replica.pod or ""

    async def _told(self, since_ms: int, until_ms: int) -> Mapping[Pod, Found] | None:
        """What each pod's GPUs said; None where Prometheus does not tell."""
        try:
            return await self._samples(since_ms, until_ms)
        except Unreachable as error:
            SCRAPES.labels("gpus", "failed").inc()
            log.warning("what GPUs did is not known until their source answers", reason=str(error))
            return None

    async def _samples(self, since_ms: int, until_ms: int) -> Mapping[Pod, Found]:
        asked = (self._history.samples(each, since_ms, until_ms) for each in self._selectors.values())
        found: defaultdict[Pod, defaultdict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for prefix, series in zip(self._selectors, await asyncio.gather(*asked), strict=True):
            for pod, gpu, samples in self._named(series, prefix):
                found[pod][gpu] += samples
        return found

    def _named(self, found: Iterable[Series], prefix: str) -> Iterable[tuple[Pod, str, list[Sample]]]:
        for series in found:
            pod = series.labels[f"{prefix}namespace"], series.labels[f"{prefix}pod"]
            shares = [(at_ms, number / self._whole) for at_ms, number in series.samples]
            yield pod, _gpu(series.labels), shares

    def _extend(
        self, reading: Reading, last: Reading, replica: Replica, found: Mapping[Pod, Found] | None
    ) -> Reading:
        """A reading that also says what the GPUs did until its moment."""
        known = last.shown or Shown("", {})
        begin_ms = last.at_ms if known.gauges_since_ms is None else known.gauges_since_ms
        look = Look(begin_ms, last.at_ms, reading.at_ms, self._history.stale_ms, replica.gpus)
        told = progress((found or {}).get(self._pod(replica), {}), known.taken_ms, look)
        return replace(
            reading,
            integrals={} if told.microseconds is None else {GPU_MICROSECONDS: told.microseconds},
            inexact=reading.inexact or told.inexact or found is None,
            shown=reading.shown and replace(reading.shown, taken_ms=told.taken_ms, gauges_since_ms=begin_ms),
        )


def _gpu(labels: Mapping[str, str]) -> str:
    """Which GPU a series is of, or which instance of one that is partitioned."""
    whole = labels.get("UUID") or labels.get("gpu", "")
    return f"{whole}/{labels['GPU_I_ID']}" if labels.get("GPU_I_ID") else whole

"""What counters gained between two moments of the past, in whole series.

`increase()` extrapolates to the ends of its range: a request would become 1.07 of one. So the difference is
taken of what a series said last before either moment, each series by itself: where a counter was reset, or
is new, what it says is what it gained. Nothing is lost or doubled where one moment follows on the other.

https://prometheus.io/docs/prometheus/latest/querying/operators/#vector-matching-keywords
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.collector.adapters.prometheus.api import Prometheus, Value
from services.collector.domain.counters import Reading


@dataclass(frozen=True)
class Freshness:
    """How old what Prometheus knows may be."""

    stale_ms: int
    """What was scraped last so long before a moment says nothing of that moment."""
    lookback_ms: int
    """A series that was away for so long is taken for a new one, whose counter began at zero."""


@dataclass(frozen=True)
class Gains:
    """What counters gained until a moment."""

    gained: Sequence[Value]
    reset: Sequence[Value]
    """Those that lost something: what was counted between the last scrape and a reset."""


class History:
    """Asks Prometheus of the past."""

    def __init__(self, prometheus: Prometheus, freshness: Freshness) -> None:
        self._prometheus = prometheus
        self._freshness = freshness
        self.shortest_lookback_ms = 2 * freshness.stale_ms
        """Just enough for what was scraped before a moment of which something is known."""

    async def gains(
        self, series: str, by: str, since_ms: int | None, until_ms: int, *, lookback_ms: int | None = None
    ) -> Gains:
        """What counters gained.

        Args:
            series: a PromQL selector of counters.
            by: the labels to sum by, with commas between them.
            since_ms: None for the counters' beginning.
            until_ms: the later moment.
            lookback_ms: shorter than the usual one where series are many and exactness is not needed.
        """
        over_ms = lookback_ms or self._freshness.lookback_ms
        now = _latest(series, over_ms)
        if since_ms is None:
            return Gains(await self.query(f"sum by ({by}) ({now})", until_ms), [])
        before = _latest(series, over_ms, until_ms - since_ms)
        gained, reset = await asyncio.gather(
            self.query(f"sum by ({by}) (({now} - {before} >= 0) or {now})", until_ms),
            self.query(f"count by ({by}) ({now} - {before} < 0)", until_ms),
        )
        return Gains(gained, reset)

    async def fresh(self, series: str, by: str, at_ms: int) -> list[Value]:
        """The largest value of each group of series that was scraped shortly before a moment."""
        return await self.query(f"max by ({by}) ({_latest(series, self._freshness.stale_ms)})", at_ms)

    async def known(self, series: str, by: str, at_ms: int) -> list[Value]:
        """How many series of each group there were."""
        return await self.query(f"count by ({by}) ({_latest(series, self._freshness.lookback_ms)})", at_ms)

    async def average(self, series: str, by: str, since_ms: int, until_ms: int) -> list[Value]:
        """The average of gauges over a span, at most the lookback; of several in turn, the largest."""
        span_ms = max(1, min(until_ms - since_ms, self._freshness.lookback_ms))
        return await self.query(f"max by ({by}) (avg_over_time({series}[{span_ms}ms]))", until_ms)

    async def query(self, promql: str, at_ms: int) -> list[Value]:
        """Evaluate any query."""
        return await self._prometheus.query(promql, at_ms)


def _latest(series: str, over_ms: int, before_ms: int = 0) -> str:
    """The last value of each series in a span, which ends so long before the moment of the query."""
    offset = f" offset {before_ms}ms" if before_ms else ""
    return f"last_over_time({series}[{over_ms}ms]{offset})"


def by_moment(last: Mapping[str, Reading], until_ms: int) -> dict[int, list[str]]:
    """Subjects by the moment of their last reading.

    Left out are those that were read at this moment or later already.
    """
    found: defaultdict[int, list[str]] = defaultdict(list)
    for subject, reading in last.items():
        if reading.at_ms < until_ms:
            found[reading.at_ms].append(subject)
    return dict(found)


def onward(last: Reading, at_ms: int, gained: Mapping[str, int], *, lost: bool) -> Reading:
    """The reading that follows: counters that go on growing, over all that came and went."""
    names: Iterable[str] = {**last.counters, **gained}
    counters = {name: last.counters.get(name, 0) + gained.get(name, 0) for name in names}
    return Reading(at_ms, counters, lost=lost)

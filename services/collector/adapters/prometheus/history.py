"""What counters gained between two moments of the past, in whole series.

`increase()` extrapolates to the ends of its range: a request would become 1.07 of one. So the difference is
taken of what a series said last before either moment, each series by itself: where a counter was reset, or
is new, what it says is what it gained.

What Prometheus knows of a moment may grow after it was asked: samples that others write to it come late.
So what it showed of a moment is kept, and what it shows more of the same moment later is a gain, too. Nothing
is lost or doubled where one moment follows on the other.

https://prometheus.io/docs/prometheus/latest/querying/operators/#vector-matching-keywords
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.collector.adapters.prometheus.api import Prometheus, Value
from services.collector.domain.counters import Reading, Shown


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


@dataclass(frozen=True)
class Account:
    """What counters gained in a span, and what they said in all at its ends, by what is known now."""

    before: Sequence[Value]
    gains: Gains
    after: Sequence[Value]
    question: str
    """What was asked for the sums, in short."""


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

    async def account(self, series: str, by: str, since_ms: int | None, until_ms: int) -> Account:
        """What counters gained, as in `gains`, and the sums by which it is known later what came late."""
        question = f"sum by ({by}) ({_latest(series, self._freshness.lookback_ms)})"
        # In this order, what becomes known between two answers is counted once at most.
        before = [] if since_ms is None else await self.query(question, since_ms)
        gains = await self.gains(series, by, since_ms, until_ms)
        after = await self.query(question, until_ms)
        return Account(before, gains, after, hashlib.sha256(question.encode()).hexdigest()[:16])

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


@dataclass(frozen=True)
class Told:
    """What Prometheus tells of a subject in the span that begins with its last reading."""

    gained: Mapping[str, int]
    before: Mapping[str, int] | None
    """What counters said in all when it began, as is known now; None where nothing is known of it."""
    shown: Shown
    """The same when it ended."""
    reset: bool


def onward(last: Reading, at_ms: int, told: Told) -> Reading:
    """The reading that follows: counters that go on growing, over all that came and went."""
    gained, exact = _gain(last, told)
    names: Iterable[str] = {**last.counters, **gained}
    counters = {name: last.counters.get(name, 0) + max(0, gained.get(name, 0)) for name in names}
    return Reading(at_ms, counters, inexact=told.reset or not exact, shown=told.shown)


def _gain(last: Reading, told: Told) -> tuple[Mapping[str, int], bool]:
    """What was gained, and whether all of it was in this span."""
    comparable = last.shown is not None and last.shown.question == told.shown.question
    showed = last.shown.sums if last.shown and comparable else None
    if told.before is None and (showed or last.counters):
        # It lost its past. What it shows over what it showed is gained for certain, and all that is.
        return ({} if showed is None else _less(told.shown.sums, showed)), False
    late = {} if showed is None or told.before is None else _less(told.before, showed)
    names: Iterable[str] = {**told.gained, **late}
    return {each: told.gained.get(each, 0) + late.get(each, 0) for each in names}, not any(late.values())


def _less(newer: Mapping[str, int], older: Mapping[str, int]) -> dict[str, int]:
    return {name: newer.get(name, 0) - older.get(name, 0) for name in {**newer, **older}}

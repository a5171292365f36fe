"""What counters gained between two moments of the past, in whole series.

`increase()` extrapolates to the ends of its range: a request would become 1.07 of one. So the difference is
taken of what a series said last before either moment, each series by itself: where a counter was reset, or
is new, what it says is what it gained.

What Prometheus knows of a moment may grow after it was asked: samples that others write to it come late.
So what it showed of a moment is kept, and what it shows more of the same moment later is a gain, too. Nothing
is lost or doubled where one moment follows on the other.

Of two servers behind one name, either may answer, and one may have missed samples. So what one account needs
is asked in one query; and where less is shown than was counted, nothing is counted until that is made up for.

https://prometheus.io/docs/prometheus/latest/querying/operators/#vector-matching-keywords
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.collector.adapters.prometheus.api import Prometheus, Series, Value
from services.collector.domain.counters import Reading, Shown

_PART = "so1s_part"
"""The label that tells the parts of a query."""


@dataclass(frozen=True)
class Freshness:
    """How old what Prometheus knows may be."""

    stale_ms: int
    """What was scraped last so long before a moment says nothing of that moment."""
    lookback_ms: int
    """A series that was away for so long is taken for a new one, whose counter began at zero."""


@dataclass(frozen=True)
class Account:
    """What counters gained in a span, and what they said in all at its ends, by what is known now."""

    before: Sequence[Value] | None
    """None where nothing is known of the span's begin."""
    gained: Sequence[Value]
    reset: Sequence[Value]
    """Those that lost something: what was counted between the last scrape and a reset."""
    after: Sequence[Value]
    question: str
    """What was asked for the sums, in short."""


class History:
    """Asks Prometheus of the past."""

    def __init__(self, prometheus: Prometheus, freshness: Freshness) -> None:
        self._prometheus = prometheus
        self._freshness = freshness
        self.stale_ms, self.lookback_ms = freshness.stale_ms, freshness.lookback_ms

    async def recently(self, series: str, by: str, since_ms: int, until_ms: int) -> list[Value]:
        """What counters gained that were scraped shortly before either moment.

        It is cheaper than an account, where series are many and exactness is not needed.
        """
        # Just enough for what was scraped before a moment of which something is known.
        over_ms = 2 * self._freshness.stale_ms
        return await self.query(_gained(series, by, over_ms, until_ms - since_ms), until_ms)

    async def fresh(self, series: str, by: str, at_ms: int) -> list[Value]:
        """The largest value of each group of series that was scraped shortly before a moment."""
        return await self.query(f"max by ({by}) ({_latest(series, self._freshness.stale_ms)})", at_ms)

    async def account(
        self, series: str, by: str, since_ms: int | None, until_ms: int, *, up: str | None = None
    ) -> Account:
        """What counters gained, and the sums by which it is known later what came late.

        Args:
            series: a PromQL selector of counters.
            by: the labels to sum by, with commas between them.
            since_ms: None for the counters' beginning.
            until_ms: the later moment.
            up: a selector of `up`; nothing is known of the span's begin where none was up in the lookback
                before it.
        """
        over_ms = self._freshness.lookback_ms
        question = f"sum by ({by}) ({_latest(series, over_ms)})"
        parts = {"after": question, "gained": question}
        if since_ms is not None:
            span_ms = until_ms - since_ms
            now, before = _latest(series, over_ms), _latest(series, over_ms, span_ms)
            parts["before"] = f"sum by ({by}) ({before})"
            parts["gained"] = _gained(series, by, over_ms, span_ms)
            parts["reset"] = f"count by ({by}) ({now} - {before} < 0)"
        if since_ms is not None and up is not None:
            parts["known"] = f"count (max_over_time({up}[{over_ms}ms] offset {span_ms}ms) > 0)"
        told = await self._parts(parts, until_ms)
        return Account(
            None if "known" in parts and not told["known"] else told["before"],
            told["gained"],
            told["reset"],
            told["after"],
            hashlib.sha256(question.encode()).hexdigest()[:16],
        )

    async def _parts(self, parts: Mapping[str, str], at_ms: int) -> Mapping[str, list[Value]]:
        """Evaluate several queries as one, which one server answers."""
        named = [f'label_replace({promql}, "{_PART}", "{part}", "", "")' for part, promql in parts.items()]
        found: defaultdict[str, list[Value]] = defaultdict(list)
        for value in await self.query(" or ".join(named), at_ms):
            found[value.labels[_PART]].append(value)
        return found

    async def average(self, series: str, by: str, since_ms: int, until_ms: int) -> list[Value]:
        """The average of gauges over a span, at most the lookback; of several in turn, the largest."""
        span_ms = max(1, min(until_ms - since_ms, self._freshness.lookback_ms))
        return await self.query(f"max by ({by}) (avg_over_time({series}[{span_ms}ms]))", until_ms)

    async def samples(self, selector: str, since_ms: int, until_ms: int) -> list[Series]:
        """Everything that was scraped of gauges in a span, at most the lookback."""
        span_ms = max(1, min(until_ms - since_ms, self.lookback_ms))
        return await self._prometheus.samples(selector, span_ms, until_ms)

    async def query(self, promql: str, at_ms: int) -> list[Value]:
        """Evaluate any query."""
        return await self._prometheus.query(promql, at_ms)


def _latest(series: str, over_ms: int, before_ms: int = 0) -> str:
    """The last value of each series in a span, which ends so long before the moment of the query."""
    offset = f" offset {before_ms}ms" if before_ms else ""
    return f"last_over_time({series}[{over_ms}ms]{offset})"


def _gained(series: str, by: str, over_ms: int, span_ms: int) -> str:
    now, before = _latest(series, over_ms), _latest(series, over_ms, span_ms)
    return f"sum by ({by}) (({now} - {before} >= 0) or {now})"


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
    lookback_ms: int
    """For how long a sum has a series that ended."""


def onward(last: Reading, at_ms: int, told: Told) -> Reading:
    """The reading that follows: counters that go on growing, over all that came and went."""
    gained, exact = _gain(last, told)
    names: Iterable[str] = {**last.counters, **gained}
    counters = {name: last.counters.get(name, 0) + max(0, gained.get(name, 0)) for name in names}
    lacking = {name: -gain for name, gain in gained.items() if gain < 0}
    shown = _made_up_for(last, at_ms, told, lacking) if lacking else told.shown
    return Reading(at_ms, counters, inexact=told.reset or not exact, shown=shown)


def _made_up_for(last: Reading, at_ms: int, told: Told, lacking: Mapping[str, int]) -> Shown:
    """What was shown, and as much more as was counted already: another server may show that again.

    None does once all that had ended by then is out of the sums. What is lacking still began anew.
    """
    since_ms = at_ms if last.shown is None or last.shown.less_since_ms is None else last.shown.less_since_ms
    if at_ms - since_ms > told.lookback_ms:
        return told.shown
    return replace(told.shown, sums=_sum(told.shown.sums, lacking), less_since_ms=since_ms)


def _gain(last: Reading, told: Told) -> tuple[Mapping[str, int], bool]:
    """What was gained, and whether all of it was in this span."""
    comparable = last.shown is not None and last.shown.question == told.shown.question
    showed = last.shown.sums if last.shown and comparable else None
    if told.before is None:
        # What it shows over what it showed is gained for certain, and all that is.
        return ({} if showed is None else _less(told.shown.sums, showed)), False
    late = {} if showed is None else _less(told.before, showed)
    return _sum(told.gained, late), not any(late.values())


def _less(newer: Mapping[str, int], older: Mapping[str, int]) -> dict[str, int]:
    return {name: newer.get(name, 0) - older.get(name, 0) for name in {**newer, **older}}


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}

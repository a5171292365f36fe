"""What counters say of a stretch of time, over resets, missed scrapes and restarts.

A counter only grows, until whatever counts starts anew from zero. The increase over a reset is the new
value, as in Prometheus' `increase()`: https://prometheus.io/docs/prometheus/latest/querying/functions/#rate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Shown:
    """What a source that knows the past showed of a moment; later it may know more of the same moment."""

    question: str
    """What it was asked: sums of two questions are not compared."""
    sums: Mapping[str, int]
    """What the counters said in all, by name; as much as was counted, where they said less than that."""
    less_since_ms: int | None = None
    """Since when they have said less than was counted; None where they do not."""
    taken_ms: Mapping[str, int] = field(default_factory=dict)
    """When the newest sample was taken, by gauge whose samples are taken."""
    gauges_since_ms: int | None = None
    """When gauges were looked at first: of none an older sample is taken; None where they were not yet."""


@dataclass(frozen=True)
class Reading:
    """Everything that one subject's source said at one moment."""

    at_ms: int
    counters: Mapping[str, int]
    """By name; a counter that is absent has counted nothing so far."""
    gauges: Mapping[str, int] = field(default_factory=dict)
    """Momentary values, by name."""
    epoch: str = ""
    """Another value means that the counters began anew: a process id and its start, for example."""
    inexact: bool = False
    """The source itself says that this is not all, or not only, of what happened since the last one."""
    shown: Shown | None = None
    """Of a source that knows the past."""
    integrals: Mapping[str, int] = field(default_factory=dict)
    """Of gauges whose every sample the source knows, over the time since its last reading, by name."""


@dataclass(frozen=True)
class Accrual:
    """What a subject's counters gained between two readings."""

    since_ms: int
    """When the reading was taken that it goes on from."""
    last: Reading
    increases: Mapping[str, int] = field(default_factory=dict)
    integrals: Mapping[str, int] = field(default_factory=dict)
    """Of each gauge over time: its value times milliseconds, or as the source has it."""
    readings: int = 0
    reset: bool = False
    """Something was lost, such as what was counted between the last reading and a reset, or came late."""


@dataclass(frozen=True)
class Scrapes:
    """How often a source was asked for its counters, and how many times it answered."""

    asked: int = 0
    answered: int = 0

    def and_one(self, *, answered: bool) -> Scrapes:
        """With one more."""
        return Scrapes(self.asked + 1, self.answered + answered)


def born(at_ms: int) -> Reading:
    """What the counters of a subject say at its birth: they begin at zero."""
    return Reading(at_ms, {})


def after(reading: Reading) -> Accrual:
    """The accrual that goes on from a reading."""
    return Accrual(reading.at_ms, reading)


def accrue(accrual: Accrual, reading: Reading) -> Accrual:
    """Add what a newer reading says."""
    last = accrual.last
    reset = _was_reset(last, reading)
    before = {} if reset else last.counters
    steps = {name: value - before.get(name, 0) for name, value in reading.counters.items()}
    elapsed_ms = max(0, reading.at_ms - last.at_ms)
    areas = {name: value * elapsed_ms for name, value in reading.gauges.items()}
    return replace(
        accrual,
        last=reading,
        increases=_sum(accrual.increases, steps),
        integrals=_sum(_sum(accrual.integrals, areas), reading.integrals),
        readings=accrual.readings + 1,
        reset=accrual.reset or reset or reading.inexact,
    )


def _was_reset(last: Reading, reading: Reading) -> bool:
    if last.epoch and reading.epoch != last.epoch:
        return True
    return any(reading.counters.get(name, 0) < value for name, value in last.counters.items())


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}

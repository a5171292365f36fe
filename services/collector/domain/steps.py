"""What is to be said of a subject: samples that commit together with how far they reach.

A step is a transaction. After a long outage there are several, oldest first, so that none grows without bound
and whoever is stopped in between goes on from the last one. What accrued belongs to the newest window: until
that one is said, the cursor keeps its reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.collector.domain.counters import Accrual, Reading, Scrapes, after, born
from services.collector.domain.grid import Span, ceiling, floor, stretches
from services.collector.domain.samples import (
    Portion,
    corrections,
    gateway_sample,
    health_sample,
    portions,
    replica_samples,
    request_samples,
)
from services.collector.domain.world import Gateway, Replica, Variant
from so1s.events import GatewaySampled, HealthSampled, UsageCorrected, UsageSampled

_HOUR_SECONDS = 3600

Sample = UsageSampled | UsageCorrected | HealthSampled | GatewaySampled


@dataclass(frozen=True)
class Cursor:
    """How far a subject was sampled."""

    sampled_until_ms: int
    last: Reading
    """What its counters said then."""
    ended: bool = False
    """The subject's end is known, and corrected where it had to be."""


@dataclass(frozen=True)
class Step:
    """What one transaction says."""

    samples: Sequence[Sample]
    cursor: Cursor
    """How far the subject is sampled then."""


def is_due(step: Step, recorded: Cursor | None) -> bool:
    """Whether a step is worth a transaction: it says something, or is in another hour than the last record.

    Who starts goes on from the record, over an hour of silence at most.
    """
    if step.samples or recorded is None:
        return True
    recorded_ms, until_ms = recorded.sampled_until_ms, step.cursor.sampled_until_ms
    return floor(recorded_ms, _HOUR_SECONDS) != floor(until_ms, _HOUR_SECONDS)


@dataclass(frozen=True)
class Closed:
    """The windows that are over."""

    until_ms: int
    """The end of the newest one."""
    window_seconds: int

    @property
    def newest(self) -> Span:
        """The one that closed last."""
        return Span(self.until_ms - self.window_seconds * 1000, self.until_ms)


def beginning(born_ms: int) -> Cursor:
    """Of a subject that was never sampled."""
    return Cursor(born_ms, born(born_ms))


def replica_steps(replica: Replica, known: Cursor, accrual: Accrual, closed: Closed) -> Iterator[Step]:
    """The steps of a replica, up to its end if that is among the closed windows."""
    if known.ended:
        return
    ended_ms, width = replica.ended_ms, closed.window_seconds
    if ended_ms is not None and floor(ended_ms, width) < floor(known.sampled_until_ms, width):
        yield from _corrections(replica, ended_ms, known, width)
        return
    end_ms = closed.until_ms if ended_ms is None else min(ended_ms, closed.until_ms)
    for span, accrued in _due(known, accrual, ceiling(end_ms, width), width):
        life = Span(span.start_ms, min(span.end_ms, end_ms))
        found = portions(life, accrued, span.end_ms, width)
        samples = replica_samples(replica, found, window_seconds=width)
        yield Step(
            samples, Cursor(span.end_ms, accrued.last, ended_ms is not None and ended_ms <= span.end_ms)
        )


def _corrections(replica: Replica, ended_ms: int, known: Cursor, window_seconds: int) -> Iterator[Step]:
    """Take back what was sampled past a replica's end, the newest first: so the cursor moves back."""
    first_ms = floor(ended_ms, window_seconds)
    for span in reversed([*stretches(first_ms, known.sampled_until_ms, window_seconds)]):
        samples = corrections(replica, ended_ms, span, window_seconds=window_seconds)
        yield Step(samples, Cursor(span.start_ms, known.last, ended=span.start_ms == first_ms))


def request_steps(variant: Variant, known: Cursor, accrual: Accrual, closed: Closed) -> Iterator[Step]:
    """The steps of the requests that a variant answered.

    Past its end they go on for as long as it is remembered, and are silent but for what is counted still:
    answers that were scraped later, or given before anybody saw it go. `is_due` spares most of the silence.
    """
    # A variant that comes back has no windows for its absence.
    known = replace(known, sampled_until_ms=max(known.sampled_until_ms, variant.started_ms))
    for span, accrued in _due(known, accrual, closed.until_ms, closed.window_seconds):
        found = portions(span, accrued, span.end_ms, closed.window_seconds)
        told = [portion for portion in found if _is_told(variant, portion)]
        samples: list[Sample] = [
            *request_samples(variant.replicas[-1], told, window_seconds=closed.window_seconds)
        ]
        health = health_sample(variant.deployment, found[-1], window_seconds=closed.window_seconds)
        yield Step(samples if health is None else [*samples, health], Cursor(span.end_ms, accrued.last))


def _is_told(variant: Variant, portion: Portion) -> bool:
    ended_ms = variant.ended_ms
    return ended_ms is None or portion.alive.start_ms < ended_ms or portion.requests > 0


def gateway_steps(gateway: Gateway, known: Cursor, scrapes: Scrapes, closed: Closed) -> Iterator[Step]:
    """At most one step: whether it answers is momentary, and windows that were missed stay unsaid."""
    if scrapes.asked and known.sampled_until_ms < closed.until_ms:
        sample = gateway_sample(gateway, scrapes, closed.newest, window_seconds=closed.window_seconds)
        yield Step([sample], beginning(closed.until_ms))


def _due(
    known: Cursor, accrual: Accrual, until_ms: int, window_seconds: int
) -> Iterator[tuple[Span, Accrual]]:
    for span in stretches(known.sampled_until_ms, until_ms, window_seconds):
        yield span, accrual if span.end_ms == until_ms else after(known.last)

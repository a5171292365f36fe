"""What a share, such as how busy a GPU is, comes to over time, by the samples that were taken of it.

A sample speaks for the time since the one before it, but for so long at most: of what nobody sampled nothing
is counted. So the first sample of a gauge speaks for nothing: what it says may be of the time before, when
the gauge was another's. Between samples nobody knows; that is an estimate. What is exact is that each sample
is taken once, after all that were taken before: whenever it is asked for them, and however often they were
scraped, the parts sum to the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

Sample = tuple[int, float]
"""Milliseconds since the epoch and a share."""

_HIGHEST = 1.05
"""Shares that are measured are a little above 1 at times; what is more is no share, such as DCGM's blanks."""


@dataclass(frozen=True)
class Progress:
    """What the samples of some gauges came to since they were looked at last."""

    microseconds: int | None
    """Of all gauges together; None where no sample spoke."""
    taken_ms: Mapping[str, int]
    """When the newest sample was taken, by gauge."""
    inexact: bool
    """Samples are missing, or were of a time that was looked at before, or there are too many gauges."""


@dataclass(frozen=True)
class Look:
    """A look at the gauges of one subject."""

    begin_ms: int
    """Of a gauge that is new no older sample is taken."""
    since_ms: int
    """When they were looked at before."""
    until_ms: int
    held_ms: int
    """For how long one sample speaks at most."""
    gauges: int
    """How many the subject has: where more speak, some are the same one by two names."""


def progress(found: Mapping[str, Iterable[Sample]], taken_ms: Mapping[str, int], look: Look) -> Progress:
    """Add up what is new of each gauge, in any order of its samples.

    Where more gauges speak than there are, those that say least are counted: never too much.
    """
    newest, said, inexact = dict(taken_ms), [], False
    for gauge in {**taken_ms, **found}:
        before = [(taken_ms[gauge], 0.0)] if gauge in taken_ms else []
        after_ms = taken_ms.get(gauge, look.begin_ms)
        samples = [*before, *_new(found.get(gauge, ()), after_ms, look.until_ms)]
        if samples:
            newest[gauge] = samples[-1][0]
        if len(samples) > 1:
            said.append(_integral(samples, look.held_ms))
            inexact |= samples[1][0] <= look.since_ms
        inexact |= _lacks([at_ms for at_ms, _ in samples], look)
    counted = sum(sorted(said)[: look.gauges]) if said else None
    return Progress(counted, newest, inexact or len(said) > look.gauges)


def _new(samples: Iterable[Sample], after_ms: int, until_ms: int) -> list[Sample]:
    """Those that are to be taken, oldest first; what is no share is no sample."""
    return sorted(
        (at_ms, min(share, 1.0))
        for at_ms, share in samples
        if after_ms < at_ms <= until_ms and 0 <= share <= _HIGHEST
    )


def _integral(samples: list[Sample], held_ms: int) -> int:
    """In microseconds; each sample is rounded by itself, whichever others it is taken with."""
    return sum(
        round(share * min(at_ms - before_ms, held_ms) * 1000)
        for (before_ms, _), (at_ms, share) in pairwise(samples)
    )


def _lacks(times: list[int], look: Look) -> bool:
    """Whether for longer than a sample speaks there was none, since the first that is known."""
    return any(later - earlier > look.held_ms for earlier, later in pairwise([*times, look.until_ms]))

"""What a share, such as how busy a GPU is, comes to over time, by the samples that were taken of it.

A sample speaks for the time since the one before it, as a utilization is measured, but for so long at most:
of what nobody sampled nothing is counted. Each sample is taken once, after all that were taken before. So
whenever it is asked for them, and however often they were scraped, the parts sum to the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

Samples = Iterable[tuple[int, float]]
"""Milliseconds since the epoch and shares, in any order."""


@dataclass(frozen=True)
class Progress:
    """What the samples of some gauges came to since they were looked at last."""

    microseconds: int | None
    """Of all gauges together; None where no sample was taken."""
    taken_ms: Mapping[str, int]
    """When the newest sample was taken, by gauge."""
    inexact: bool
    """Samples are missing, or were of a time that was looked at before."""


@dataclass(frozen=True)
class Stretch:
    """The time that is looked at."""

    since_ms: int
    """Until when it was looked at before: of a gauge that is new, no older sample is taken."""
    until_ms: int
    held_ms: int
    """For how long one sample speaks at most."""


def progress(found: Mapping[str, Samples], taken_ms: Mapping[str, int], stretch: Stretch) -> Progress:
    """Add up what is new of each gauge."""
    total, newest, inexact = None, dict(taken_ms), False
    for gauge in {**taken_ms, **found}:
        after_ms = taken_ms.get(gauge, stretch.since_ms)
        new = _new(found.get(gauge, ()), after_ms, stretch.until_ms)
        if new:
            total = (total or 0) + _integral(new, after_ms, stretch.held_ms)
            newest[gauge] = new[-1][0]
        known = [after_ms] if gauge in taken_ms else []
        inexact |= _lacks([*known, *(at_ms for at_ms, _ in new)], stretch)
        inexact |= bool(new) and new[0][0] <= stretch.since_ms
    return Progress(total, newest, inexact)


def _new(samples: Samples, after_ms: int, until_ms: int) -> list[tuple[int, float]]:
    """Those that are to be taken, oldest first; what is no share is no sample."""
    return sorted(each for each in samples if after_ms < each[0] <= until_ms and 0 <= each[1] <= 1)


def _integral(samples: list[tuple[int, float]], after_ms: int, held_ms: int) -> int:
    """In microseconds; each sample is rounded by itself, whichever others it is taken with."""
    times = [after_ms, *(at_ms for at_ms, _ in samples)]
    spans = (min(later - earlier, held_ms) for earlier, later in pairwise(times))
    return sum(round(share * span * 1000) for span, (_, share) in zip(spans, samples, strict=True))


def _lacks(times: list[int], stretch: Stretch) -> bool:
    """Whether for longer than a sample speaks there was none, since the first that is known."""
    return any(later - earlier > stretch.held_ms for earlier, later in pairwise([*times, stretch.until_ms]))

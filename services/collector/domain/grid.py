"""The UTC grid of windows that usage and health accrue on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MOST_WINDOWS = 500
"""Of one subject in one transaction: their events are half a megabyte."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time: `start_ms` belongs to it, `end_ms` does not."""

    start_ms: int
    end_ms: int

    def overlap_ms(self, other: Span) -> int:
        """How long both last together."""
        return max(0, min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms))

    def intersection(self, other: Span) -> Span:
        """What both have in common; they overlap."""
        return Span(max(self.start_ms, other.start_ms), min(self.end_ms, other.end_ms))

    @property
    def length_ms(self) -> int:
        """How long it lasts."""
        return self.end_ms - self.start_ms

    @property
    def start(self) -> datetime:
        """When it begins, in UTC."""
        return _EPOCH + self.start_ms * _MILLISECOND


def milliseconds(moment: datetime) -> int:
    """An aware datetime as whole milliseconds since the epoch, without a float on the way."""
    return (moment - _EPOCH) // _MILLISECOND


def floor(moment_ms: int, window_seconds: int) -> int:
    """The start of the window that holds a moment, which is the end of the last closed one."""
    width = window_seconds * 1000
    return moment_ms // width * width


def windows(after_ms: int, until_ms: int, window_seconds: int) -> Iterator[Span]:
    """The windows that end after `after_ms` and no later than `until_ms`, oldest first.

    The first of them may have begun before `after_ms`: what is on either side is the caller's to tell.
    """
    width = window_seconds * 1000
    for start in range(floor(after_ms, window_seconds), floor(until_ms, window_seconds), width):
        yield Span(start, start + width)


def ceiling(moment_ms: int, window_seconds: int) -> int:
    """The end of the window that holds a moment; a moment on the grid is its own."""
    return -floor(-moment_ms, window_seconds)


def stretches(after_ms: int, until_ms: int, window_seconds: int) -> Iterator[Span]:
    """Cut what lies between two moments into spans of at most 500 windows, oldest first.

    Each ends with a window, but for the last one, which ends at `until_ms`.
    """
    most_ms = _MOST_WINDOWS * window_seconds * 1000
    while after_ms < until_ms:
        end_ms = min(until_ms, floor(after_ms, window_seconds) + most_ms)
        yield Span(after_ms, end_ms)
        after_ms = end_ms

"""What goes when the disk is to have room: what can be made anew and was used least recently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kept:
    """Something on the builder's disk that can be made anew."""

    path: Path
    size_bytes: int
    used_at: float
    """When a build asked for it last, in seconds since the epoch."""


def by_last_use(kept: Iterable[Kept], *, used_before: float) -> Iterator[Kept]:
    """What may go, the least recently used first; nothing that a build may have in hand.

    Args:
        kept: all there is.
        used_before: a build that asked for something before that has ended.
    """
    return iter(sorted((each for each in kept if each.used_at < used_before), key=_last_use))


def _last_use(kept: Kept) -> tuple[float, str]:
    return kept.used_at, str(kept.path)

"""What is known of a window, whatever the order in which it is told.

Of the samples of one window the first one counts; a correction wins over a sample, and a later
correction over an earlier one. Each meter is decided by itself, so any order of the same events, and
any repetition, ends in the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from so1s.errors import InvalidInput
from so1s.events import UsageCorrected, UsageSampled
from so1s.events.envelope import Received
from so1s.events.usage import Meter

_HIGHEST_QUANTITY = 10**14
"""More than the largest replica can reserve in the longest window; sums of it stay within 64 bits."""


class Figure(NamedTuple):
    """A meter's quantity, and how much that word counts."""

    quantity: int
    rank: str
    """Empty for a sample; a correction's time and id."""


Figures = Mapping[Meter, Figure]


def window_key(event: UsageSampled) -> str:
    """The name of a window of a replica: what is charged once."""
    return f"{event.key}/{int(event.window_start.timestamp())}/{event.window_seconds}"


def figures(received: Received[UsageSampled]) -> Figures:
    """What an event says of its window.

    Raises:
        InvalidInput: a quantity is beyond all measure.
    """
    metered = received.event.metered
    for meter, quantity in metered.items():
        if quantity > _HIGHEST_QUANTITY:
            field = f"quantities.{meter}" if meter in received.event.quantities else meter
            raise InvalidInput.of(field, quantity, f"allowed: at most {_HIGHEST_QUANTITY}")
    rank = _rank(received) if isinstance(received.event, UsageCorrected) else ""
    return {meter: Figure(quantity, rank) for meter, quantity in metered.items()}


def joined(known: Figures, told: Figures) -> Figures:
    """What is known after something was told."""
    better = {
        meter: figure
        for meter, figure in told.items()
        if meter not in known or figure.rank > known[meter].rank
    }
    return {**known, **better} if better else known


def _rank(received: Received) -> str:
    microseconds = round(received.time.timestamp() * 1_000_000) if received.time else 0
    return f"{microseconds:020d}/{received.source}/{received.id}"

"""Bills: the ledger, summed by what somebody wants to see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.billing.domain.ledger import Entry
from services.billing.domain.units import UNITS, dollars
from so1s.errors import InvalidInput

DIMENSIONS = ("user", "model", "version", "deployment", "resource", "day")
"""What an account's bill can be broken down by; `resource` is the meter."""


@dataclass(frozen=True)
class Days:
    """Days of UTC, the first and the last included."""

    first: date = date.min
    last: date = date.max

    def __contains__(self, day: date) -> bool:
        """Whether a day is among them."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Line:
    """A sum of postings."""

    group: tuple[str, ...]
    """A value for each dimension that was asked for."""
    quantity: int
    amount_nano_usd: int


def dimensions(text: str) -> tuple[str, ...]:
    """Read a list such as `model,resource`.

    Raises:
        InvalidInput: a name is none of the dimensions.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in DIMENSIONS:
            raise InvalidInput.of("by", name, f"allowed: {', '.join(DIMENSIONS)}")
    return names


def lines(entries: Iterable[Entry], by: tuple[str, ...]) -> list[Line]:
    """Sum entries by dimensions, in the order of their values."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for each in entries:
        for group, quantity, amount in _parts(each, by):
            before = sums.get(group, (0, 0))
            sums[group] = before[0] + quantity, before[1] + amount
    return [Line(group, *total) for group, total in sorted(sums.items())]


def _parts(each: Entry, by: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    event = each.event
    values = {
        "user": event.user,
        "model": event.model,
        "version": event.version,
        "deployment": event.deployment,
        "day": each.day.isoformat(),
    }
    for posting in each.postings:
        if posting.meter:
            group = tuple(posting.meter if name == "resource" else values[name] for name in by)
            yield group, posting.quantity, -posting.amount_nano_usd


def row(line: Line, by: tuple[str, ...]) -> dict[str, Any]:
    """A line as it is shown; quantities of different meters have no sum."""
    shown: dict[str, Any] = dict(zip(by, line.group, strict=True))
    if "resource" in shown:
        shown["quantity"] = line.quantity
        unit = UNITS.get(shown["resource"])  # none of a meter that a newer version booked
        shown["usage"] = unit.shown(line.quantity) if unit else str(line.quantity)
    return {**shown, **money(line.amount_nano_usd)}


def money(nano_usd: int) -> dict[str, Any]:
    """An amount, for programs and for people."""
    return {"amount_nano_usd": nano_usd, "amount_usd": dollars(nano_usd)}


def total(summed: Iterable[Line]) -> int:
    """What lines come to, in nano-USD."""
    return sum(line.amount_nano_usd for line in summed)


def difference(left: Iterable[Line], right: Iterable[Line]) -> list[Line]:
    """What `left` has more than `right`, by group; groups in which both are equal are left out."""
    sums = {line.group: (line.quantity, line.amount_nano_usd) for line in left}
    for line in right:
        quantity, amount = sums.get(line.group, (0, 0))
        sums[line.group] = quantity - line.quantity, amount - line.amount_nano_usd
    return [Line(group, *total) for group, total in sorted(sums.items()) if any(total)]

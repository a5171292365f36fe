"""The price book: what a unit of each meter costs, from which day on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.billing.domain.units import UNITS
from so1s.errors import InvalidInput
from so1s.events.usage import Meter

_HIGHEST_NANO_USD = 10**15
"""A million dollars a unit: whoever means more has mistaken the unit."""
_HIGHEST_AMOUNT = 10**15
"""A million dollars a window and meter: sums of it stay within 64 bits."""


class Price(BaseModel):
    """A meter's price from a day on, until its next one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    meter: Meter
    per: str
    """The unit's name, so that the file says what it means; it must be the meter's."""
    nano_usd: Annotated[int, Field(ge=0, le=_HIGHEST_NANO_USD)]
    valid_from: date
    """UTC; a window is priced by the day on which it starts."""

    @model_validator(mode="after")
    def _in_the_meters_unit(self) -> Self:
        if self.per != UNITS[self.meter].name:
            raise ValueError(f"allowed for {self.meter}: per {UNITS[self.meter].name!r}, not {self.per!r}")
        return self


class PriceBook:
    """Every price, past and present. A meter without one, or before its first, is reported and not billed."""

    def __init__(self, prices: Iterable[Price]) -> None:
        """Order the prices by meter and day.

        Raises:
            InvalidInput: a meter has two prices for one day.
        """
        self.prices = tuple(sorted(prices, key=lambda price: (price.meter, price.valid_from)))
        self._by_meter: dict[Meter, list[Price]] = {}
        for price in self.prices:
            of_meter = self._by_meter.setdefault(price.meter, [])
            if of_meter and of_meter[-1].valid_from == price.valid_from:
                raise InvalidInput.of(
                    "valid_from", str(price.valid_from), f"allowed: one price of {price.meter} a day"
                )
            of_meter.append(price)
        self._begins = min((price.valid_from for price in self.prices), default=date.min)

    @property
    def late(self) -> tuple[Price, ...]:
        """The first price of each meter that is free on days on which another one is billed already."""
        firsts = (prices[0] for prices in self._by_meter.values())
        return tuple(price for price in firsts if price.valid_from > self._begins)

    def bills(self, meter: Meter, day: date) -> bool:
        """Whether a meter is billed for a day."""
        return self._valid(meter, day) is not None

    def charge(self, meter: Meter, quantity: int, day: date) -> int:
        """The price of a quantity, in nano-USD.

        The exact product is rounded once, half up, for each window and meter: so a window's charge does not
        depend on the others, and a bill is a sum of integers.

        Args:
            meter: what was measured; 0 is charged where it is not billed, or was not on that day.
            quantity: in the meter's own integers.
            day: on which the window starts, UTC.

        Raises:
            InvalidInput: the day of a meter that is billed is before all prices, or the charge is beyond all
                measure.
        """
        price = self._valid(meter, day)
        if price is None:
            return 0
        size = UNITS[meter].size
        amount = (2 * quantity * price.nano_usd + size) // (2 * size)
        if amount > _HIGHEST_AMOUNT:
            raise InvalidInput.of(
                f"quantities.{meter}", quantity, f"allowed: a charge of at most {_HIGHEST_AMOUNT} nano-USD"
            )
        return amount

    def _valid(self, meter: Meter, day: date) -> Price | None:
        prices = self._by_meter.get(meter, [])
        if prices and day < self._begins:
            rule = f"allowed: from {self._begins} on, when the first price of all is valid"
            raise InvalidInput.of("window_start", str(day), rule)
        position = bisect_right(prices, day, key=lambda price: price.valid_from)
        return prices[position - 1] if position else None


def added(book: PriceBook, known: Mapping[tuple[Meter, date], int], billed_until: date | None) -> list[Price]:
    """The prices of a book that are not known yet.

    Args:
        book: as it is configured now.
        known: the prices that were charged by so far, in nano-USD.
        billed_until: the last day that was billed.

    Raises:
        ValueError: the book would change what was billed already.
    """
    listed = {(price.meter, price.valid_from): price for price in book.prices}
    for (meter, day), nano_usd in known.items():
        if (meter, day) not in listed or listed[meter, day].nano_usd != nano_usd:
            raise ValueError(
                f"the price of {meter} from {day} was {nano_usd} nano-USD; a price in force stays"
            )
    new = [price for name, price in listed.items() if name not in known]
    for price in new:
        if billed_until and price.valid_from <= billed_until:
            raise ValueError(
                f"the price of {price.meter} from {price.valid_from} is too late: {billed_until} is billed"
            )
    return new

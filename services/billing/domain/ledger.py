"""Double entry: what an account owes is what each meter earned.

A debit is positive, a credit negative; the postings of an entry sum to 0. Nothing is ever changed: a
correction is an entry of its own, about the difference.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date

from services.billing.domain.prices import PriceBook
from services.billing.domain.windows import Figures
from so1s.events import UsageSampled
from so1s.events.envelope import Received
from so1s.events.usage import Meter

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://so1s.dev/ledger")


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry."""

    ledger_account: str
    """`receivable/ACCOUNT`, `revenue/METER`, or `usage/METER` for what is reported and not billed."""
    meter: Meter | None
    quantity: int
    """In the meter's integers; 0 where there is no meter."""
    amount_nano_usd: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What one event changed in what an account owes."""

    id: str
    event: UsageSampled
    """Whose window, and whose names the charge is reported by."""
    postings: tuple[Posting, ...]

    @property
    def day(self) -> date:
        """On which the window starts, UTC."""
        return self.event.window_start.astimezone(UTC).date()


def entry(
    received: Received[UsageSampled], before: Figures, after: Figures, prices: PriceBook
) -> Entry | None:
    """The entry that takes a window from what was known to what is known now.

    Returns:
        None where nothing changes.

    Raises:
        InvalidInput: the day is before all prices, or the charge is beyond all measure.
    """
    event = received.event
    earned = tuple(_changes(event, before, after, prices))
    if not earned:
        return None
    owed = -sum(posting.amount_nano_usd for posting in earned)
    receivable = Posting(f"receivable/{event.account}", None, 0, owed)
    return Entry(entry_id(received), event, (receivable, *earned))


def entry_id(received: Received) -> str:
    """The id of the only entry that an event can make."""
    return str(uuid.uuid5(_NAMESPACE, f"{received.source}\x1f{received.id}"))


def _changes(event: UsageSampled, before: Figures, after: Figures, prices: PriceBook) -> Iterator[Posting]:
    day = event.window_start.astimezone(UTC).date()
    for meter, figure in after.items():
        booked = before[meter].quantity if meter in before else 0
        if booked == figure.quantity:
            continue
        owed = prices.charge(meter, figure.quantity, day) - prices.charge(meter, booked, day)
        kind = "revenue" if prices.bills(meter, day) else "usage"
        yield Posting(f"{kind}/{meter}", meter, figure.quantity - booked, -owed)

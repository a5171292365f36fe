"""The bill from the archived events alone, held against the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.billing.archive import recomputed
from services.billing.domain.bill import Days, Line, difference, lines, total
from services.billing.domain.prices import PriceBook
from services.billing.domain.units import dollars
from services.billing.store import bill_lines


@dataclass(frozen=True)
class Audit:
    """Two ways to the same bill."""

    ledger: list[Line]
    recomputed: list[Line]

    @property
    def differences(self) -> list[Line]:
        """What the ledger has more than the archive says, by group; nothing where both are equal."""
        return difference(self.ledger, self.recomputed)

    def __str__(self) -> str:
        """Both totals and the verdict, in one line."""
        verdict = f"{len(self.differences)} differences" if self.differences else "equal"
        booked, archived = (dollars(total(each)) for each in (self.ledger, self.recomputed))
        return f"ledger {booked} USD  archive {archived} USD  {verdict}"


async def audit(
    connection: AsyncConnection, prices: PriceBook, account: str, by: tuple[str, ...], days: Days
) -> Audit:
    """Compute an account's bill from the ledger, and again from the archived events alone.

    Args:
        connection: of a snapshot of the store, or what is booked meanwhile would be a difference.
        prices: the price book.
        account: whose bill.
        by: the dimensions that both are summed and compared by.
        days: of the bill.
    """
    made = [each async for each in recomputed(connection, prices, account) if each.day in days]
    return Audit(await bill_lines(connection, account, by, days), lines(made, by))

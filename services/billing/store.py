"""The ledger, the archive of every accepted event, and what is known of each window.

Entries, postings and the archive are written once: triggers refuse to change or delete a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.billing.domain.bill import Days, Line
from services.billing.domain.ledger import Entry
from services.billing.domain.prices import Price
from services.billing.domain.windows import Figure, Figures
from so1s.events.usage import Meter
from so1s.store import Transaction

metadata = MetaData()

windows = Table(
    "billing_windows",
    metadata,
    Column("window", String(200), primary_key=True),
    Column("figures", Text, nullable=False),  # JSON: meter → [quantity, rank]
)

entries = Table(
    "billing_entries",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("window", String(200), nullable=False),
    Column("account", String(20), nullable=False),
    Column("user", Text, nullable=False),
    Column("model", String(40), nullable=False),
    Column("version", String(63), nullable=False),
    Column("deployment", String(40), nullable=False),
    Column("day", Date, nullable=False),
    Index("billing_entries_account_day", "account", "day"),
    Index("billing_entries_day", "day"),
)

postings = Table(
    "billing_postings",
    metadata,
    Column("entry_id", ForeignKey(entries.c.id), primary_key=True),
    Column("ledger_account", String(64), primary_key=True),
    Column("meter", String(32)),
    Column("quantity", BigInteger, nullable=False),
    Column("amount_nano_usd", BigInteger, nullable=False),
)

archive = Table(
    "billing_archive",
    metadata,
    # The order in which events were accepted: of two samples of one window the first one counts.
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("account", String(20), nullable=False),
    Column("event", Text, nullable=False),  # CloudEvents 1.0, structured JSON
    Index("billing_archive_account", "account", "sequence"),
)

prices = Table(
    "billing_prices",
    metadata,
    Column("meter", String(32), primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("nano_usd", BigInteger, nullable=False),
)

_PAGE = 5000


async def known_figures(tx: Transaction, names: Iterable[str]) -> dict[str, Figures]:
    """What is known of windows; their rows are held until the transaction ends."""
    statement = select(windows).where(windows.c.window.in_(sorted(names))).order_by(windows.c.window)
    rows = await tx.execute(statement.with_for_update())
    return {
        row.window: {meter: Figure(*each) for meter, each in json.loads(row.figures).items()} for row in rows
    }


async def save_figures(tx: Transaction, before: Mapping[str, Figures], after: Mapping[str, Figures]) -> None:
    """Keep what is known of windows now.

    Raises:
        IntegrityError: another replica was the first to tell of a new window; the batch comes again.
    """
    new = [_window(name, known) for name, known in after.items() if name not in before]
    changed = [_window(name, known) for name, known in after.items() if before.get(name, known) is not known]
    if new:
        await tx.execute(insert(windows), new)
    if changed:
        statement = update(windows).where(windows.c.window == bindparam("name"))
        changed = [{"name": row["window"], "figures": row["figures"]} for row in changed]
        await tx.execute(statement.values(figures=bindparam("figures")), changed)


def _window(name: str, known: Figures) -> dict[str, str]:
    return {"window": name, "figures": json.dumps(known)}


async def book(tx: Transaction, booked: Sequence[tuple[str, Entry]]) -> None:
    """Enter entries, each with its window, and their postings."""
    if not booked:
        return
    await tx.execute(insert(entries), [_entry(window, entry) for window, entry in booked])
    rows = [
        {
            "entry_id": entry.id,
            "ledger_account": posting.ledger_account,
            "meter": posting.meter,
            "quantity": posting.quantity,
            "amount_nano_usd": posting.amount_nano_usd,
        }
        for _, entry in booked
        for posting in entry.postings
    ]
    await tx.execute(insert(postings), rows)


def _entry(window: str, entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "id": entry.id,
        "window": window,
        "account": event.account,
        "user": event.user,
        "model": event.model,
        "version": event.version,
        "deployment": event.deployment,
        "day": entry.day,
    }


async def keep(tx: Transaction, events: Sequence[tuple[str, str]]) -> None:
    """Archive accepted events, each an account and its CloudEvents JSON, in their order."""
    await tx.execute(insert(archive), [{"account": account, "event": event} for account, event in events])


async def archived_page(
    connection: AsyncConnection, account: str | None, after: int
) -> Sequence[tuple[int, str]]:
    """Archived events behind a sequence number, oldest first; none at the end."""
    statement = select(archive.c.sequence, archive.c.event).where(archive.c.sequence > after)
    if account:
        statement = statement.where(archive.c.account == account)
    rows = await connection.execute(statement.order_by(archive.c.sequence).limit(_PAGE))
    return [(row.sequence, row.event) for row in rows]


async def archived_accounts(connection: AsyncConnection) -> list[str]:
    """Every account that something was archived of."""
    return list(await connection.scalars(select(archive.c.account).distinct().order_by(archive.c.account)))


async def bill_lines(
    connection: AsyncConnection, account: str, by: tuple[str, ...], days: Days
) -> list[Line]:
    """What an account owes, summed by dimensions."""
    columns = [postings.c.meter if name == "resource" else entries.c[name] for name in by]
    statement = _sums(*columns).where(entries.c.account == account, _among(days))
    return [_line(row) for row in await connection.execute(statement)]


async def bill_totals(connection: AsyncConnection, days: Days) -> list[Line]:
    """What every account owes."""
    statement = _sums(entries.c.account).where(_among(days))
    return [_line(row) for row in await connection.execute(statement)]


def _among(days: Days) -> Any:
    return entries.c.day.between(days.first, days.last)


def _sums(*columns: Any) -> Select:
    quantity, owed = func.sum(postings.c.quantity), -func.sum(postings.c.amount_nano_usd)
    statement = select(*columns, quantity, owed).join(entries, entries.c.id == postings.c.entry_id)
    return statement.where(postings.c.meter.is_not(None)).group_by(*columns).order_by(*columns)


def _line(row: Any) -> Line:
    *group, quantity, owed = row
    return Line(tuple(str(value) for value in group), int(quantity or 0), int(owed or 0))


async def known_prices(connection: AsyncConnection) -> dict[tuple[Meter, date], int]:
    """Every price that was charged by so far, in nano-USD."""
    return {(row.meter, row.valid_from): row.nano_usd for row in await connection.execute(select(prices))}


async def add_prices(tx: Transaction, new: Iterable[Price]) -> None:
    """Charge by new prices from now on."""
    rows = [{"meter": each.meter, "valid_from": each.valid_from, "nano_usd": each.nano_usd} for each in new]
    if rows:
        await tx.execute(insert(prices), rows)


async def billed_until(tx: Transaction) -> date | None:
    """The last day that was billed."""
    return (await tx.execute(select(func.max(entries.c.day)))).scalar_one()

"""Drops as they are kept: each is published or refused once, and forgotten long after its files are gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console import audit
from services.console.domain.drops import Drop, Notice
from services.console.tables import drops
from so1s.store import Transaction, upsert

_AT_ONCE = 500
"""Ids of a statement."""
_LONGEST_ACCOUNT = 20


async def known(connection: AsyncConnection) -> Mapping[str, float | None]:
    """The ids of all drops that were published or refused, with the time since when the files are gone."""
    rows = await connection.execute(select(drops.c.id, drops.c.gone_at))
    return {row.id: row.gone_at for row in rows}


async def record(tx: Transaction, drop: Drop, notice: Notice | None) -> bool:
    """Keep a drop, and publish it where nothing is wrong; False where another replica was faster."""
    event, principal = (notice.event, notice.principal) if notice else ("", "")
    row = {
        "id": drop.id,
        "account": drop.account,
        "uri": drop.uri,
        "seen_at": tx.now.timestamp(),
        "event": event,
        "principal": principal,
        "problem": drop.problem,
    }
    if not await upsert(tx, drops, row, keys=["id"]):
        return False
    if uploaded := drop.noticed(notice):
        tx.emit(uploaded, id=drop.id)
    await audit.note(
        tx,
        f"bucket:{principal}" if principal else "bucket",
        "drop.refused" if drop.problem else "drop.published",
        account=drop.account[:_LONGEST_ACCOUNT],
        subject=drop.uri,
        event=event or "listing",
        **({"problem": drop.problem} if drop.problem else {"id": drop.id}),
    )
    return True


async def mark(tx: Transaction, ids: Collection[str], *, gone_at: float | None) -> None:
    """Remember since when the files of drops are gone; None where they are there again."""
    for some in _pieces(ids):
        await tx.execute(update(drops).where(drops.c.id.in_(some)).values(gone_at=gone_at))


async def prune(tx: Transaction, days: float) -> None:
    """Forget the drops whose files have been gone for longer."""
    await tx.execute(delete(drops).where(drops.c.gone_at < tx.now.timestamp() - days * 86_400))


async def entries(connection: AsyncConnection, account: str | None, most: int) -> Sequence[Row]:
    """The newest drops, of one account or of all, the newest first."""
    statement = select(drops).order_by(drops.c.seen_at.desc(), drops.c.uri).limit(most)
    if account:
        statement = statement.where(drops.c.account == account)
    return (await connection.execute(statement)).all()


def _pieces(ids: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]

"""Drops as they are kept: each is published or refused once."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console.domain.drops import Drop
from services.console.tables import drops
from so1s.store import Transaction, upsert


async def known(connection: AsyncConnection) -> frozenset[str]:
    """The ids of all drops that were published or refused."""
    return frozenset(await connection.scalars(select(drops.c.id)))


async def record(tx: Transaction, drop: Drop) -> bool:
    """Keep a drop, and publish it where nothing is wrong; False where another replica was faster."""
    row = {"id": drop.id, "account": drop.account, "uri": drop.uri, "problem": drop.problem}
    written = await upsert(tx, drops, row | {"seen_at": tx.now.timestamp()}, keys=["id"])
    if written and drop.uploaded:
        tx.emit(drop.uploaded, id=drop.id)
    return bool(written)


async def entries(connection: AsyncConnection, account: str | None, most: int) -> Sequence[Row]:
    """The newest drops, of one account or of all, the newest first."""
    statement = select(drops).order_by(drops.c.seen_at.desc(), drops.c.uri).limit(most)
    if account:
        statement = statement.where(drops.c.account == account)
    return (await connection.execute(statement)).all()

"""How long history is kept: what is old is let go in small steps, so that nobody waits for it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, delete, select

from services.alerter.store import entries, incidents, recoveries
from so1s.store import Store, Transaction

_STEP = 500
"""Rows of a table that go in one transaction."""


async def prune(state: Store, retention_days: int) -> None:
    """Forget incidents that ended so long ago, and recoveries of before.

    An incident that is open, or of which people were not told yet, stays however old it is.
    """
    while True:
        async with state.transaction() as tx:
            before = tx.now.timestamp() - retention_days * 86_400
            forgotten = await _forget_incidents(tx, before) + await _forget_recoveries(tx, before)
        if not forgotten:
            return


async def _forget_incidents(tx: Transaction, before: float) -> int:
    is_told = incidents.c.told_revision >= incidents.c.revision
    has_untold = select(entries.c.incident).where(entries.c.told.is_(False))
    query = select(incidents.c.id).where(
        incidents.c.open_key.is_(None),
        incidents.c.closed_at < before,
        is_told,
        incidents.c.id.not_in(has_untold),
    )
    ids = (await tx.execute(query.limit(_STEP))).scalars().all()
    await _delete(tx, entries, entries.c.incident.in_(ids))
    await _delete(tx, incidents, incidents.c.id.in_(ids))
    return len(ids)


async def _forget_recoveries(tx: Transaction, before: float) -> int:
    keys = (await tx.execute(select(recoveries.c.key).where(recoveries.c.at < before).limit(_STEP))).scalars()
    found = keys.all()
    await _delete(tx, recoveries, recoveries.c.key.in_(found), recoveries.c.at < before)
    return len(found)


async def _delete(tx: Transaction, table: Table, *conditions: ColumnElement[bool]) -> None:
    await tx.execute(delete(table).where(*conditions))

"""Insert or update in one statement, alike on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.store.transaction import Transaction


def insert(table: Table, dialect: str) -> Any:
    """The insert of a dialect, which knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


async def upsert(
    tx: Transaction | AsyncConnection,
    table: Table,
    values: dict[str, Any] | list[dict[str, Any]],
    *,
    keys: Sequence[str],
    update: Sequence[str] = (),
) -> int:
    """Insert rows; where `keys` exist already, set the `update` columns, or leave the row alone.

    Args:
        tx: the open transaction.
        table: to write to.
        values: one row or many.
        keys: the columns of a unique constraint.
        update: the columns that take the new values.

    Returns:
        How many rows were written; for many rows that is not known on every driver.
    """
    if not values:
        return 0
    connection = tx if isinstance(tx, AsyncConnection) else tx.connection
    statement = _upserting(table, connection.dialect.name, tuple(keys), tuple(update))
    return (await connection.execute(statement, values)).rowcount


@cache  # to build a statement takes longer than to run it
def _upserting(table: Table, dialect: str, keys: tuple[str, ...], update: tuple[str, ...]) -> Any:
    statement = insert(table, dialect)
    if not update:
        return statement.on_conflict_do_nothing(index_elements=keys)
    changes = {column: statement.excluded[column] for column in update}
    return statement.on_conflict_do_update(index_elements=keys, set_=changes)

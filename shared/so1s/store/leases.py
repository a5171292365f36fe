"""Leases: rows that say who may do something, and until when.

Leadership and claims live in the service's own database, on a laptop and in a cluster alike: the
state that a leader writes is there too, so there is no second authority to disagree with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, delete, func, literal, or_

from so1s.store.engine import Database
from so1s.store.tables import leases
from so1s.store.upsert import insert

_UNIX_EPOCH = 2440587.5
"""As a Julian day, in which SQLite tells the time to the millisecond."""
_SECONDS_A_DAY = 86_400


class Leases:
    """Named leases of one store, by the clock of its database: those of replicas may differ."""

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        """Make them.

        Args:
            database: the store's.
            clock: seconds since the epoch, instead of the database's own.
        """
        self._database = database
        self._clock = clock

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or prolong a lease; False where somebody else holds it."""
        async with self._database.writing() as connection:
            now = self._now(connection.dialect.name)
            statement = insert(leases, connection.dialect.name).values(
                name=name, holder=holder, expires_at=now + seconds
            )
            free = or_(leases.c.expires_at < now, leases.c.holder == holder)
            statement = statement.on_conflict_do_update(
                index_elements=["name"],
                set_={"holder": statement.excluded.holder, "expires_at": statement.excluded.expires_at},
                where=free,
            )
            return (await connection.execute(statement)).rowcount == 1

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens where it is not held."""
        async with self._database.writing() as connection:
            await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

    def _now(self, dialect: str) -> ColumnElement[Any]:
        if self._clock:
            return literal(self._clock())
        return _POSTGRESQL_NOW if dialect == "postgresql" else _SQLITE_NOW


_POSTGRESQL_NOW = cast(func.extract("epoch", func.clock_timestamp()), Float)
_SQLITE_NOW = (func.julianday("now") - _UNIX_EPOCH) * _SECONDS_A_DAY

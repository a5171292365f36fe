"""Leases: rows that say who may do something, and until when.

Leadership and claims live in the service's own database, on a laptop and in a cluster alike: the
state that a leader writes is there too, so there is no second authority to disagree with.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import delete, or_

from so1s.store.engine import Database
from so1s.store.tables import leases
from so1s.store.upsert import insert


class Leases:
    """Named leases of one store."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or prolong a lease; False where somebody else holds it."""
        now = self._clock()
        async with self._database.writing() as connection:
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

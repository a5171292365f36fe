"""The store: a service's database, with its inbox, outbox and leases."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from so1s.events.envelope import Cause
from so1s.store import inbox
from so1s.store.engine import Database
from so1s.store.leases import Leases
from so1s.store.migrations import upgrade
from so1s.store.outbox import Outbox
from so1s.store.transaction import Transaction


class Store:
    """A service's database."""

    def __init__(
        self,
        url: str,
        *,
        producer: str,
        schema: str | None = None,
        is_temporary: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make a store; nothing is opened yet.

        Args:
            url: see `Database`.
            producer: the service whose events these are.
            schema: PostgreSQL: where its tables are.
            is_temporary: it ends with the process, so that no event may wait in it for long.
            clock: the time, with its zone.
        """
        self._database = Database(url, schema)
        self._clock = clock
        self.producer = producer
        self.is_temporary = is_temporary
        self.on_emitted: Callable[[], None] = _nothing
        """Called when events wait in the outbox."""
        self.outbox = Outbox(self._database, clock)
        self.leases = Leases(self._database)
        self._schema = schema

    @property
    def engine(self) -> AsyncEngine:
        """SQLAlchemy's engine of the database."""
        return self._database.engine

    async def migrate(self, package: str | None = None) -> None:
        """Bring the tables of So1s, and of a service's migrations package, to their newest form."""
        await self._upgrade("so1s.store.migrations")
        if package:
            await self._upgrade(package)

    @asynccontextmanager
    async def transaction(
        self, cause: Cause | None = None, *, flushed: bool = False
    ) -> AsyncGenerator[Transaction, None]:
        """Open a transaction: it commits at the end of the block, or rolls back on an error.

        Args:
            cause: the event in hand.
            flushed: the caller sends what waits in the outbox afterwards, and nobody else is woken for it.
        """
        async with self._database.writing() as connection:
            tx = Transaction(connection, producer=self.producer, cause=cause, now=self._clock())
            yield tx
            await self.outbox.add(connection, tx.records, now=tx.now)
        if tx.records and not flushed:
            self.on_emitted()
        for call in tx.afterwards:
            call()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a connection that only reads, and waits for no writer; each statement sees what is there."""
        async with self._database.reading() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a transaction that only reads, and waits for no writer; all its statements see one moment."""
        async with self._database.snapshot() as connection:
            yield connection

    async def attempt(self, source: str, event_id: str) -> inbox.Attempt:
        """Count and commit an attempt to handle an event, before it is handled."""
        async with self._database.singly() as connection:
            return await inbox.attempt(connection, source, event_id, self._clock())

    async def forgive(self, source: str, event_id: str) -> None:
        """Take back an attempt that failed through no fault of the event."""
        async with self._database.singly() as connection:
            await inbox.forgive(connection, source, event_id)

    async def revive(self, source: str, event_id: str) -> None:
        """Let a buried event begin again."""
        async with self._database.singly() as connection:
            await inbox.revive(connection, source, event_id)

    async def forget(self, source: str, event_id: str) -> None:
        """Drop what is being tried."""
        async with self._database.singly() as connection:
            await inbox.forget(connection, source, event_id)

    async def prune(self, *, older_than_days: int) -> None:
        """Forget inbox and sent outbox rows that no retained topic can bring back."""
        horizon = self._clock().timestamp() - older_than_days * 86_400
        async with self._database.writing() as connection:
            await inbox.prune(connection, horizon)
            await self.outbox.prune(connection, horizon)

    async def close(self) -> None:
        """Close every connection, when it is given back."""
        await self._database.close()

    async def _upgrade(self, package: str) -> None:
        async with self._database.writing() as connection:
            await upgrade(connection, package, self._schema)


def _nothing() -> None:
    """Until somebody listens."""

"""Delivery: a record goes through its handler at least once, and its effects happen once.

What becomes of a record:
    handled        state, inbox row and outbox rows committed, the outbox sent, then the offset moves
    duplicate      the inbox knows it: what the outbox still holds is sent
    dead_lettered  it breaks a rule, or its handler failed five times: kept, and the offset moves
    retried        something is away: the partition pauses, and the record comes again
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import ConsumerRecord

from so1s.broker.dead_letters import addressee
from so1s.broker.failures import as_exception, is_stopping, is_temporary
from so1s.broker.handlers import Subscription
from so1s.broker.intake import Intake
from so1s.errors import PermanentError
from so1s.events.envelope import Envelope
from so1s.events.trace import trace_id
from so1s.metrics import HANDLER_SECONDS
from so1s.store import Store, inbox
from so1s.store.outbox import Sender

MAX_ATTEMPTS = 5
"""How often an event's handler may fail unexpectedly."""


class Delivery:
    """Takes the records of one subscription to its handler, each in a transaction of its own."""

    def __init__(self, subscription: Subscription, *, service: str, store: Store, sender: Sender) -> None:
        self._subscription = subscription
        self._intake = Intake(subscription, service=service, store=store)
        self._store = store
        self._sender = sender
        self._unforgiven: set[tuple[str, str]] = set()

    async def one(self, record: ConsumerRecord) -> None:
        """Deliver a record; returns when its offset may move.

        Raises:
            Exception: the record must come again.
        """
        if not self._intake.is_mine(record):
            return
        said: list[str] | None = None
        if envelope := await self._intake.unwrap(record):
            with structlog.contextvars.bound_contextvars(**_context(envelope)):
                said = await self._attempt(record, envelope)
        if said == []:
            return  # of an event that was handled now and said nothing, the outbox holds nothing
        await self._store.outbox.flush(self._sender)
        await self.keep_causes([record], said or [])

    async def keep_causes(self, records: Sequence[ConsumerRecord], said: Sequence[str]) -> None:
        """Bury records whose answers Kafka refuses, where the store that keeps those ends with the process.

        Args:
            records: that were handled together.
            said: the ids of what the handler said of them, which was sent.
        """
        if not said or not self._store.is_temporary:
            return
        if reasons := await self._store.outbox.refusals(said):
            refused = PermanentError(f"Kafka refuses what it said: {reasons[0]}")
            for record in records:
                await self._intake.bury(record, refused)
            await self._store.outbox.flush(self._sender)

    async def _attempt(self, record: ConsumerRecord, envelope: Envelope) -> list[str] | None:
        """Handle a record or bury it; answers the ids of what it said, where they are known."""
        if addressee(record):
            await self._store.revive(envelope.source, envelope.id)
        if (envelope.source, envelope.id) in self._unforgiven:
            await self._forgive(envelope)
        # Committed before the handler runs, so that an event that ends the process is found out.
        attempt = await self._store.attempt(envelope.source, envelope.id)
        if attempt.settled:
            self._subscription.count("duplicate")
            return None
        if attempt.number > MAX_ATTEMPTS:
            died = PermanentError(f"its handler did not survive {MAX_ATTEMPTS} attempts")
            await self._intake.bury(record, died, envelope)
            return None
        try:
            said = await self._handle(envelope)
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            if is_stopping(error):  # the process ends in order: no fault of the event
                await self._forgive(envelope)
                raise
            await self._failed(record, envelope, attempt.number, as_exception(error))
            return None
        self._subscription.count("duplicate" if said is None else "handled")
        return said

    async def _handle(self, envelope: Envelope) -> list[str] | None:
        """Call the handler; answers the ids of what it said, None where another replica was faster."""
        received = envelope.open(self._subscription.event_class)
        with (
            structlog.contextvars.bound_contextvars(account=received.event.account),
            HANDLER_SECONDS.labels(envelope.type).time(),
        ):
            async with self._store.transaction(envelope.cause, flushed=True) as tx:
                if not await inbox.mark_handled(tx.connection, envelope.source, envelope.id, tx.now):
                    return None
                for event in await self._subscription.call(received, tx):
                    tx.emit(event)
        return [said.event_id for said in tx.records]

    async def _failed(
        self, record: ConsumerRecord, envelope: Envelope, attempt: int, error: Exception
    ) -> None:
        """Bury a record that cannot succeed, or raise so that it comes again."""
        passing = is_temporary(error)
        if isinstance(error, PermanentError) or (attempt >= MAX_ATTEMPTS and not passing):
            await self._intake.bury(record, error, envelope)
            return
        self._subscription.count("retried")
        if passing:
            await self._forgive(envelope)
        raise error

    async def _forgive(self, envelope: Envelope) -> None:
        """Take back an attempt; where the database is away, too, that happens before the next one."""
        name = (envelope.source, envelope.id)
        self._unforgiven.add(name)
        await self._store.forgive(*name)
        self._unforgiven.discard(name)


def _context(envelope: Envelope) -> dict[str, str]:
    return {
        "event_type": envelope.type,
        "event_id": envelope.id,
        "correlation_id": envelope.correlation_id,
        "trace_id": trace_id(envelope.traceparent),
    }

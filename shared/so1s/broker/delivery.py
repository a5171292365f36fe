"""Delivery: a record goes through its handler at least once, and its effects happen once.

What becomes of a record:
    handled        state, inbox row and outbox rows committed, the outbox sent, then the offset moves
    duplicate      the inbox knows it: what the outbox still holds is sent
    dead_lettered  it breaks a rule, or its handler failed five times: kept, and the offset moves
    retried        something is away: the partition pauses, and the record comes again
"""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import ConsumerRecord

from so1s.broker.dead_letters import addressee
from so1s.broker.failures import is_temporary
from so1s.broker.handlers import Subscription
from so1s.broker.intake import MAX_ATTEMPTS, Intake, is_stopping, raise_again
from so1s.errors import PermanentError
from so1s.events.envelope import Received
from so1s.events.trace import trace_id
from so1s.metrics import HANDLER_SECONDS
from so1s.store import Store, inbox
from so1s.store.outbox import Sender


class Delivery:
    """Takes the records of one subscription to its handler, each in a transaction of its own."""

    def __init__(self, subscription: Subscription, *, service: str, store: Store, sender: Sender) -> None:
        self._subscription = subscription
        self._intake = Intake(subscription.event_class, service=service, sender=sender)
        self._store = store
        self._sender = sender

    async def one(self, record: ConsumerRecord) -> None:
        """Deliver a record; returns when its offset may move.

        Raises:
            Exception: the record must come again.
        """
        received = await self._intake.read(record)
        if received is None:
            return
        if addressee(record):
            await self._store.forget(received.source, received.id)
        with structlog.contextvars.bound_contextvars(**_context(received)):
            await self._attempt(record, received)

    async def _attempt(self, record: ConsumerRecord, received: Received) -> None:
        attempt = await self._store.attempt(received.source, received.id)
        handled = False
        if attempt.number > MAX_ATTEMPTS and not attempt.handled:
            died = PermanentError(f"its handler did not survive {MAX_ATTEMPTS} attempts")
            await self._intake.bury(record, died)
            return
        try:
            handled = not attempt.handled and await self._handle(received)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - decided in one place
            await self._failed(record, received, attempt.number, error)
            return
        await self._store.outbox.flush(self._sender)
        self._intake.count("handled" if handled else "duplicate")

    async def _handle(self, received: Received) -> bool:
        with HANDLER_SECONDS.labels(received.event.type).time():
            async with self._store.transaction(received.cause) as tx:
                if not await inbox.mark_handled(tx.connection, received.source, received.id, tx.now):
                    return False  # another replica was faster
                for event in await self._subscription.call(received, tx):
                    tx.emit(event)
        return True

    async def _failed(
        self, record: ConsumerRecord, received: Received, attempt: int, error: BaseException
    ) -> None:
        """Bury a record that cannot succeed, or raise so that it comes again."""
        if is_stopping(error):
            raise error
        passing = is_temporary(error)
        if isinstance(error, PermanentError) or (attempt >= MAX_ATTEMPTS and not passing):
            await self._intake.bury(record, error)
            return
        if passing:
            await self._store.forgive(received.source, received.id)
        self._intake.count("retried")
        raise_again(error)


def _context(received: Received) -> dict[str, str]:
    return {
        "event_type": received.event.type,
        "event_id": received.id,
        "correlation_id": received.correlation_id,
        "account": received.event.account,
        "trace_id": trace_id(received.traceparent),
    }

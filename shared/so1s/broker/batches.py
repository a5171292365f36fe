"""Batches: many events, one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import ConsumerRecord

from so1s.broker.dead_letters import addressee
from so1s.broker.delivery import Delivery
from so1s.broker.failures import is_stopping, is_temporary
from so1s.broker.handlers import Subscription
from so1s.errors import InvalidInput
from so1s.events.codec import decode
from so1s.events.envelope import Received
from so1s.metrics import HANDLER_SECONDS
from so1s.store import Store, inbox
from so1s.store.outbox import Sender

log = structlog.get_logger()

_SOURCE = "so1s/batch"
_TRIES = 2
"""Batches that ended with their process are tried as one so often: a restart is no fault of theirs."""


class BatchDelivery:
    """Takes the records of one subscription to its handler, many at a time.

    What is no plain event of the type, and a batch that fails for a reason of its own, goes one by
    one, so that the events at fault alone are tried again and buried.
    """

    def __init__(
        self, subscription: Subscription, *, service: str, instance: str, store: Store, sender: Sender
    ) -> None:
        self._subscription = subscription
        self._singly = Delivery(subscription, service=service, store=store, sender=sender)
        self._store = store
        self._sender = sender
        self._name = (_SOURCE, f"{subscription.event_class.topic.name}@{instance}")

    async def many(self, records: Sequence[ConsumerRecord]) -> None:
        """Deliver records; returns when their offsets may move.

        Raises:
            Exception: the records must come again.
        """
        # Committed before the handler runs, so that a batch that ends the process is found out.
        attempt = await self._store.attempt(*self._name)
        try:
            plain, odd = self._sort(records) if attempt.number <= _TRIES else ([], records)
            said = await self._together([received for _, received in plain])
            for record in records if said is None else odd:
                await self._singly.one(record)
        finally:
            await self._store.forget(*self._name)
        await self._store.outbox.flush(self._sender)
        await self._singly.keep_causes([record for record, _ in plain], said or [])

    def _sort(
        self, records: Sequence[ConsumerRecord]
    ) -> tuple[list[tuple[ConsumerRecord, Received]], list[ConsumerRecord]]:
        """Tell plain events, each with its record, from replays and from what breaks a rule."""
        plain, odd = [], []
        for record in records:
            try:
                received = decode(self._subscription.event_class, record.headers, record.value)
            except InvalidInput:
                odd.append(record)
                continue
            if addressee(record):
                odd.append(record)
            else:
                plain.append((record, received))
        return plain, odd

    async def _together(self, batch: Sequence[Received]) -> list[str] | None:
        """Handle events in one transaction; answers the ids of what was said of them.

        Returns:
            None where they must go one by one.
        """
        try:
            return await self._handle(batch) if batch else []
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            if is_stopping(error):
                raise
            if is_temporary(error):
                self._subscription.count("retried", len(batch))
                raise
            log.warning("batch failed; its events go one by one", events=len(batch), exc_info=True)
            return None

    async def _handle(self, batch: Sequence[Received]) -> list[str]:
        with HANDLER_SECONDS.labels(self._subscription.event_class.type).time():
            async with self._store.transaction(flushed=True) as tx:
                names = [(received.source, received.id) for received in batch]
                unseen = await inbox.mark_new(tx.connection, names, tx.now)
                fresh = [received for received in batch if _take(unseen, received)]
                for event in await self._subscription.call_batch(fresh, tx) if fresh else []:
                    tx.emit(event)
        self._subscription.count("handled", len(fresh))
        self._subscription.count("duplicate", len(batch) - len(fresh))
        return [said.event_id for said in tx.records]


def _take(unseen: set[tuple[str, str]], received: Received) -> bool:
    name = (received.source, received.id)
    if name not in unseen:
        return False
    unseen.remove(name)  # a batch may hold an event twice
    return True

"""Batches: many events, one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import ConsumerRecord

from so1s.broker.failures import is_temporary
from so1s.broker.handlers import Subscription
from so1s.broker.intake import MAX_ATTEMPTS, Intake, is_stopping, raise_again
from so1s.errors import PermanentError
from so1s.events.envelope import Received
from so1s.metrics import HANDLER_SECONDS
from so1s.store import Store, inbox
from so1s.store.outbox import Sender

Pair = tuple[ConsumerRecord, Received]


class BatchDelivery:
    """Takes the records of one subscription to its handler, many at a time.

    A batch that fails five times is taken apart, so that only the events at fault are buried.
    """

    def __init__(self, subscription: Subscription, *, service: str, store: Store, sender: Sender) -> None:
        self._subscription = subscription
        self._intake = Intake(subscription.event_class, service=service, sender=sender)
        self._store = store
        self._sender = sender
        self._failures = 0

    async def many(self, records: Sequence[ConsumerRecord]) -> None:
        """Deliver records; returns when their offsets may move.

        Raises:
            Exception: the records must come again.
        """
        pairs = [(record, event) for record in records if (event := await self._intake.read(record))]
        try:
            await self._handle([received for _, received in pairs])
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - decided in one place
            await self._failed(pairs, error)
        await self._store.outbox.flush(self._sender)
        self._failures = 0

    async def _handle(self, batch: Sequence[Received]) -> None:
        with HANDLER_SECONDS.labels(self._subscription.event_class.type).time():
            async with self._store.transaction() as tx:
                names = [(received.source, received.id) for received in batch]
                unseen = await inbox.mark_new(tx.connection, names, tx.now)
                fresh = [received for received in batch if _take(unseen, received)]
                for event in await self._subscription.call_batch(fresh, tx) if fresh else []:
                    tx.emit(event)
        self._intake.count("handled", len(fresh))
        self._intake.count("duplicate", len(batch) - len(fresh))

    async def _failed(self, pairs: Sequence[Pair], error: BaseException) -> None:
        """Take a batch apart that cannot succeed as one, or raise so that it comes again."""
        if is_stopping(error):
            raise error
        self._failures += not is_temporary(error)
        if not isinstance(error, PermanentError) and self._failures < MAX_ATTEMPTS:
            self._intake.count("retried", len(pairs))
            raise_again(error)
        for record, received in pairs:
            await self._alone(record, received)

    async def _alone(self, record: ConsumerRecord, received: Received) -> None:
        try:
            await self._handle([received])
        except Exception as error:
            if is_temporary(error):
                raise
            await self._intake.bury(record, error)


def _take(unseen: set[tuple[str, str]], received: Received) -> bool:
    name = (received.source, received.id)
    if name not in unseen:
        return False
    unseen.remove(name)  # a batch may hold an event twice
    return True

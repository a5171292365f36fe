"""The way in and the way aside: reading records, and keeping those that cannot be handled."""

from __future__ import annotations

import structlog
from aiokafka import ConsumerRecord

from so1s.broker.dead_letters import addressee, dead_letter, reason
from so1s.broker.handlers import Subscription
from so1s.errors import InvalidInput
from so1s.events.codec import unwrap
from so1s.events.envelope import Envelope
from so1s.store import Store, inbox

log = structlog.get_logger()


class Intake:
    """The records of one subscription as one service takes them."""

    def __init__(self, subscription: Subscription, *, service: str, store: Store) -> None:
        self._subscription = subscription
        self._service = service
        self._store = store

    def is_mine(self, record: ConsumerRecord) -> bool:
        """Whether a record is for all, or a replay for this service."""
        return addressee(record) in {None, self._service}

    async def unwrap(self, record: ConsumerRecord) -> Envelope | None:
        """The event of a record; None where it is none, and was buried."""
        try:
            return unwrap(record.headers, record.value)
        except InvalidInput as error:
            await self.bury(record, error)
            return None

    async def bury(self, record: ConsumerRecord, error: Exception, envelope: Envelope | None = None) -> None:
        """Record a dead letter, and the event that answers it, on their way to Kafka."""
        async with self._store.transaction(envelope.cause if envelope else None, flushed=True) as tx:
            if envelope and not await inbox.mark_buried(tx.connection, envelope.source, envelope.id, tx.now):
                return
            tx.records.append(dead_letter(record, error, service=self._service, now=tx.now))
            if envelope and (answer := self._subscription.rejection(error, envelope)):
                tx.emit(answer)
        self._subscription.count("dead_lettered")
        log.error(
            "event kept as a dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason(error),
            error=str(error),
        )

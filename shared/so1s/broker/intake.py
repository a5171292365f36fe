"""The way in and the way aside: reading records, and keeping those that cannot be handled."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog
from aiokafka import ConsumerRecord

from so1s.broker.dead_letters import DeadLetters, addressee
from so1s.errors import PermanentError
from so1s.events.codec import decode
from so1s.events.envelope import Received
from so1s.events.event import Event
from so1s.metrics import EVENTS
from so1s.store.outbox import Sender

MAX_ATTEMPTS = 5
"""How often an event's handler may fail unexpectedly."""

log = structlog.get_logger()


class Intake:
    """The records of one event type as one service takes them."""

    def __init__(self, event_class: type[Event], *, service: str, sender: Sender) -> None:
        self.event_class = event_class
        self._service = service
        self._dead_letters = DeadLetters(sender, service)

    async def read(self, record: ConsumerRecord) -> Received | None:
        """The event of a record; None where it is for another service, or was buried."""
        if addressee(record) not in {None, self._service}:
            return None
        try:
            return decode(self.event_class, record.headers, record.value)
        except PermanentError as error:
            await self.bury(record, error)
            return None

    async def bury(self, record: ConsumerRecord, error: BaseException) -> None:
        """Keep a record among the dead letters.

        Raises:
            KafkaError: it could not be kept; its offset must not move.
        """
        await self._dead_letters.bury(record, error)
        self.count("dead_lettered")
        log.error("event kept as a dead letter", topic=record.topic, offset=record.offset, reason=str(error))

    def count(self, outcome: str, events: int = 1) -> None:
        """Count what became of events."""
        EVENTS.labels(self.event_class.type, outcome).inc(events)


def is_stopping(error: BaseException) -> bool:
    """Whether it is this task that is being cancelled, and not a handler that leaked a cancellation."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def raise_again(error: BaseException) -> NoReturn:
    """Raise, so that the record comes again; a leaked cancellation would end the consuming task for good."""
    raise error if isinstance(error, Exception) else RuntimeError("the handler was cancelled") from error

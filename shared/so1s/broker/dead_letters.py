"""Dead letters: what cannot be handled is kept, byte for byte, with where it came from and why."""

from __future__ import annotations

from datetime import UTC, datetime

from aiokafka import ConsumerRecord

from so1s.broker.topics import dead_letter_topic
from so1s.errors import PermanentError
from so1s.events.envelope import Record
from so1s.store.outbox import Sender

ADDRESSEE = "so1s_for"
"""The header of a replayed event: only the service of that name handles it."""

_LONGEST_ERROR = 2000


def addressee(record: ConsumerRecord) -> str | None:
    """The service that a replayed record is for; None where it is for all."""
    return next((value.decode(errors="replace") for name, value in record.headers if name == ADDRESSEE), None)


class DeadLetters:
    """The dead letters of one service."""

    def __init__(self, sender: Sender, service: str) -> None:
        self._sender = sender
        self._service = service
        self._topic = dead_letter_topic(service).name

    async def bury(self, record: ConsumerRecord, error: BaseException) -> None:
        """Keep a record.

        Raises:
            KafkaError: it could not be kept; the record must not be committed.
        """
        reason = error.reason if isinstance(error, PermanentError) else type(error).__name__
        told = {
            "so1s_origin_topic": record.topic,
            "so1s_origin_partition": str(record.partition),
            "so1s_origin_offset": str(record.offset),
            "so1s_service": self._service,
            "so1s_reason": reason,
            "so1s_error": str(error)[:_LONGEST_ERROR],
            "so1s_time": datetime.now(UTC).isoformat(),
        }
        original = [(name, value) for name, value in record.headers if name not in told and name != ADDRESSEE]
        headers = original + [(name, value.encode()) for name, value in told.items()]
        await self._sender.send([Record("", self._topic, record.key, headers, record.value)])

"""Dead letters: what cannot be handled is kept, byte for byte, with where it came from and why."""

from __future__ import annotations

from datetime import datetime

from aiokafka import ConsumerRecord

from so1s.broker.topics import dead_letter_topic
from so1s.errors import PermanentError
from so1s.events.envelope import Record

ADDRESSEE = "so1s_for"
"""The header of a replayed event: only the service of that name handles it."""

_LONGEST_ERROR = 2000
_LARGEST = 900 * 1024
"""Bytes that fit a Kafka message of 1 MiB beside what is told here."""


def addressee(record: ConsumerRecord) -> str | None:
    """The service that a replayed record is for; None where it is for all."""
    name = dict(record.headers).get(ADDRESSEE)
    return None if name is None else name.decode(errors="replace")


def dead_letter(record: ConsumerRecord, error: BaseException, *, service: str, now: datetime) -> Record:
    """Make the dead letter of a record.

    Its id names the record's place, so that the same record is kept once. A record that no message
    can hold beside the reason keeps its place alone: Kafka has it there for as long as its topic does.
    """
    place = f"{record.topic}/{record.partition}/{record.offset}@{record.timestamp}"
    topic = dead_letter_topic(service).name
    told = _told(record, error, service=service, now=now)
    if (size := _size(record)) > _LARGEST:
        return Record(place, topic, b"", _headers(told | {"so1s_omitted_bytes": str(size)}), None)
    kept = [(name, value) for name, value in record.headers if name not in told and name != ADDRESSEE]
    # Clients refuse a record that has neither key nor value.
    key = b"" if record.key is None and record.value is None else record.key
    return Record(place, topic, key, kept + _headers(told), record.value)


def reason(error: BaseException) -> str:
    """An error's reason in one word."""
    return error.reason if isinstance(error, PermanentError) else type(error).__name__


def _told(record: ConsumerRecord, error: BaseException, *, service: str, now: datetime) -> dict[str, str]:
    return {
        "so1s_origin_topic": record.topic,
        "so1s_origin_partition": str(record.partition),
        "so1s_origin_offset": str(record.offset),
        "so1s_service": service,
        "so1s_reason": reason(error),
        "so1s_error": (str(error) or type(error).__name__)[:_LONGEST_ERROR],
        "so1s_time": now.isoformat(),
    }


def _headers(told: dict[str, str]) -> list[tuple[str, bytes | None]]:
    return [(name, text.encode(errors="backslashreplace")) for name, text in told.items()]


def _size(record: ConsumerRecord) -> int:
    headers = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return headers + len(record.key or b"") + len(record.value or b"")

"""Events on Kafka as CloudEvents 1.0: binary and structured mode in, binary mode out.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
The attributes `causationid` and `correlationid` are extensions of ours; `traceparent` is the
Distributed Tracing extension.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from so1s.errors import InvalidInput, Problem, shown
from so1s.events.envelope import Cause, Received, Record
from so1s.events.event import Event
from so1s.events.trace import child

E = TypeVar("E", bound=Event)

_LONGEST_ID = 255
_JSON = "application/json"


class _BytesFormat(JSONFormat):
    """JSON whose data stays bytes in binary mode: the event's class reads and writes it."""

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:  # noqa: ARG002 - the SDK's signature
        return body

    def write_data(self, data: Any, datacontenttype: str | None) -> bytes:  # noqa: ARG002 - the SDK's signature
        return data


_format = _BytesFormat()


def encode(event: Event, *, id: str, source: str, time: datetime, cause: Cause | None) -> Record:  # noqa: A002 - CloudEvents' word
    """Make the record of an event.

    Args:
        event: what is said.
        id: unique within the source; derived, so that a repetition has it again.
        source: the producer's name, such as `so1s/builder`.
        time: when it happened, with a time zone.
        cause: what brought it about; None starts a chain.

    Raises:
        InvalidInput: the event is too large.
    """
    attributes = {
        "id": id,
        "source": source,
        "type": event.type,
        "subject": event.key,
        "time": time,
        "datacontenttype": _JSON,
        "correlationid": cause.correlation_id if cause else id,
        "traceparent": child(cause.traceparent if cause else ""),
    }
    if cause:
        attributes["causationid"] = cause.event_id
    message = to_binary(CloudEvent(attributes, event.to_json()), _format)
    return Record(id, event.topic.name, event.key.encode(), list(message.headers.items()), message.value)


def decode(event_class: type[E], headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Received[E]:
    """Read a record of the class's topic.

    Raises:
        InvalidInput: it is no CloudEvent, of another type, or its data breaks the class's rules.
    """
    if value is None:
        raise InvalidInput.of("event", "a tombstone", "allowed: a CloudEvent; a deletion is an event too")
    attributes, data = _read(dict(_text(headers)), value)
    if attributes["type"] != event_class.type:
        raise InvalidInput.of("type", attributes["type"], f"allowed on this topic: {event_class.type}")
    if len(attributes["id"]) > _LONGEST_ID or len(attributes["source"]) > _LONGEST_ID:
        raise InvalidInput.of(
            "id", attributes["id"], f"allowed: id and source of at most {_LONGEST_ID} characters"
        )
    return Received(
        event=event_class.from_json(data),
        id=attributes["id"],
        source=attributes["source"],
        time=attributes.get("time"),
        cause_id=attributes.get("causationid", ""),
        correlation_id=attributes.get("correlationid") or attributes["id"],
        traceparent=attributes.get("traceparent", ""),
    )


def _text(headers: Iterable[tuple[str, bytes]]) -> Iterable[tuple[str, bytes]]:
    """Only what CloudEvents knows, and only UTF-8: foreign headers may hold any bytes."""
    for name, value in headers:
        lower = name.lower()
        if not lower.startswith("ce_") and lower != "content-type":
            continue
        try:
            value.decode()
        except UnicodeDecodeError:
            raise InvalidInput.of(name, value, "allowed: UTF-8") from None
        yield lower, value


def _read(headers: dict[str, bytes], value: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        event = from_kafka(KafkaMessage(headers=headers, key=None, value=value), _format)
    except (ValueError, KeyError, TypeError, AttributeError, CloudEventValidationError) as error:
        raise _not_a_cloud_event(headers, error) from error
    data = event.get_data()
    return event.get_attributes(), data if isinstance(data, bytes) else json.dumps(data).encode()


def _not_a_cloud_event(headers: dict[str, bytes], error: Exception) -> InvalidInput:
    missing = [name for name in ("ce_specversion", "ce_id", "ce_source", "ce_type") if name not in headers]
    rule = "allowed: CloudEvents 1.0, with the headers ce_specversion, ce_id, ce_source and ce_type"
    if missing:
        return InvalidInput([Problem(name, "nothing", rule) for name in missing])
    return InvalidInput.of("event", shown(error), rule)

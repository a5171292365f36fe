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
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from so1s.errors import InvalidInput, Problem
from so1s.events.envelope import Cause, Envelope, Received, Record
from so1s.events.event import Event
from so1s.events.trace import child, trace_id

E = TypeVar("E", bound=Event)

Headers = Iterable[tuple[str, bytes | None]]

_REQUIRED = ("specversion", "id", "source", "type")
_KEPT = ("id", "source", "causationid", "correlationid")
_READ = (*_REQUIRED, "time", "causationid", "correlationid", "traceparent")
_LONGEST = 255
"""Characters of an attribute that a store keeps."""
_RULE = "allowed: CloudEvents 1.0, in binary mode with the headers " + ", ".join(f"ce_{n}" for n in _REQUIRED)
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


def decode(event_class: type[E], headers: Headers, value: bytes | None) -> Received[E]:
    """Read a record of the class's topic.

    Raises:
        InvalidInput: it is no CloudEvent, of another type, or its data breaks the class's rules.
    """
    return unwrap(headers, value).open(event_class)


def unwrap(headers: Headers, value: bytes | None) -> Envelope:
    """Read a record as far as CloudEvents goes: who says what kind of thing, and why.

    Raises:
        InvalidInput: it is no CloudEvent.
    """
    if value is None:
        raise InvalidInput.of("event", "a tombstone", "allowed: a CloudEvent; a deletion is an event too")
    event = _read(dict(_text(headers)), value)
    attributes, data = event.get_attributes(), event.get_data()
    traceparent = attributes.get("traceparent")
    return Envelope(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        time=attributes["time"] if event.is_timed else None,
        cause_id=attributes.get("causationid", ""),
        correlation_id=attributes.get("correlationid") or attributes["id"],
        traceparent=traceparent if isinstance(traceparent, str) and trace_id(traceparent) else "",
        data=data if isinstance(data, bytes) else json.dumps(data).encode(),
    )


class _Strict(CloudEvent):
    """A CloudEvent as it was said: the SDK would give a random id to one that has none."""

    def __init__(self, attributes: dict[str, Any], data: Any = None) -> None:
        if missing := [name for name in _REQUIRED if name not in attributes]:
            raise InvalidInput([Problem(name, "nothing", _RULE) for name in missing])
        self.is_timed = "time" in attributes
        # What else a producer says is its own business, and no reason to refuse the event.
        super().__init__({name: attributes[name] for name in _READ if name in attributes}, data)
        for name in _KEPT:
            text = attributes.get(name, "")
            if not isinstance(text, str) or len(text) > _LONGEST or not text.isprintable():
                raise InvalidInput.of(name, text, f"allowed: at most {_LONGEST} printable characters")


def _text(headers: Headers) -> Iterable[tuple[str, bytes]]:
    """Only what CloudEvents knows, and only UTF-8: foreign headers may hold any bytes, or none."""
    for name, value in headers:
        lower = name.lower()
        if value is None or not (lower.startswith("ce_") or lower == "content-type"):
            continue
        try:
            value.decode()
        except UnicodeDecodeError:
            raise InvalidInput.of(name, value, "allowed: UTF-8") from None
        yield lower, value


def _read(headers: dict[str, bytes], value: bytes) -> _Strict:
    try:
        event = from_kafka(KafkaMessage(headers=headers, key=None, value=value), _format, _Strict)
    except InvalidInput:
        raise
    except Exception as error:  # a stranger's bytes: whatever is wrong with them, they are no CloudEvent
        raise InvalidInput.of("event", f"{type(error).__name__}: {error}", _RULE) from error
    assert isinstance(event, _Strict)
    return event

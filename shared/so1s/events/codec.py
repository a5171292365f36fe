"""Events on Kafka as CloudEvents 1.0: binary and structured mode in, binary mode out.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
The attributes `causationid` and `correlationid` are extensions of ours; `traceparent` is the
Distributed Tracing extension.

Binary mode, in which all of So1s speaks, is read and written here, since the SDK takes three times as
long over an event's headers as its class does over its data. Structured mode is read by the SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    StringConstraints,
    ValidationError,
)

from so1s.errors import InvalidInput, Problem
from so1s.events.envelope import Cause, Envelope, Received, Record
from so1s.events.event import Event
from so1s.events.trace import child, trace_id

E = TypeVar("E", bound=Event)

Headers = Iterable[tuple[str, bytes | None]]

_PREFIX = "ce_"
_REQUIRED = ("specversion", "id", "source", "type")
_LONGEST = 255
"""Characters of an attribute that a store keeps."""
_RULE = "allowed: CloudEvents 1.0, in binary mode with the headers " + ", ".join(
    _PREFIX + name for name in _REQUIRED
)
_CONTENT_TYPE = ("content-type", b"application/json")


def _printable(text: str) -> str:
    if len(text) > _LONGEST or not text.isprintable():
        raise ValueError(f"allowed: at most {_LONGEST} printable characters")
    return text


def _valid_trace(said: Any) -> str:
    """A trace that cannot be continued is begun anew; it is no reason to refuse an event."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return text if trace_id(text) else ""


_Kept = Annotated[str, AfterValidator(_printable)]
_Name = Annotated[str, StringConstraints(min_length=1), AfterValidator(_printable)]


class _Attributes(BaseModel):
    """What is read of an event's attributes, as text or as UTF-8; what else a producer says is its own."""

    specversion: Annotated[str, StringConstraints(pattern=r"^1\.0$")]
    id: _Name
    source: _Name
    type: _Name
    time: AwareDatetime | None = None
    causationid: _Kept = ""
    correlationid: _Kept = ""
    traceparent: Annotated[str, BeforeValidator(_valid_trace)] = ""


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
    key, value = event.key, event.to_json()
    attributes = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": event.type,
        "subject": key,
        "time": time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "correlationid": cause.correlation_id if cause else id,
        "traceparent": child(cause.traceparent if cause else ""),
    }
    if cause:
        attributes["causationid"] = cause.event_id
    headers: list[tuple[str, bytes | None]] = [
        (_PREFIX + name, text.encode()) for name, text in attributes.items()
    ]
    return Record(id, event.topic.name, key.encode(), [*headers, _CONTENT_TYPE], value)


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
    if attributes := _binary(headers):
        return _envelope(attributes, value)
    return _envelope(*_structured(value))


def _binary(headers: Headers) -> dict[str, bytes]:
    """The attributes of binary mode; foreign headers may hold any bytes, or none."""
    return {
        name[3:].lower(): value
        for name, value in headers
        if value is not None and name[:3].lower() == _PREFIX
    }


class _Said(CloudEvent):
    """A structured event as it was said: the SDK would make up an id and a time where there is none."""

    def __init__(self, attributes: dict[str, Any], data: Any = None) -> None:
        self._attributes, self._data = attributes, data


def _structured(value: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        event = JSONFormat().read(_Said, value)
        data = event.get_data()
        return event.get_attributes(), data if isinstance(data, bytes) else json.dumps(data).encode()
    except Exception as error:  # a stranger's bytes: whatever is wrong with them, they are no CloudEvent
        raise InvalidInput.of("event", f"{type(error).__name__}: {error}", _RULE) from error


def _envelope(attributes: Mapping[str, Any], data: bytes) -> Envelope:
    if missing := [name for name in _REQUIRED if name not in attributes]:
        raise InvalidInput([Problem(name, "nothing", _RULE) for name in missing])
    try:
        said = _Attributes.model_validate(attributes)
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error) from error
    return Envelope(
        id=said.id,
        source=said.source,
        type=said.type,
        time=said.time,
        cause_id=said.causationid,
        correlation_id=said.correlationid or said.id,
        traceparent=said.traceparent,
        data=data,
    )

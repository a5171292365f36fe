"""What surrounds an event on its way: who said it, why, and in which trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from so1s.errors import InvalidInput
from so1s.events.event import Event

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something happens: the event in hand, and the first of its chain."""

    event_id: str
    correlation_id: str
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Received(Generic[E_co]):
    """An event as it came from a topic."""

    event: E_co
    id: str
    source: str
    time: datetime | None
    """When its producer made it."""
    cause_id: str
    """The id of the event that it answers; empty at the start of a chain."""
    correlation_id: str
    """The id of the first event of its chain."""
    traceparent: str

    @property
    def cause(self) -> Cause:
        """This event as the cause of the next ones."""
        return Cause(self.id, self.correlation_id, self.traceparent)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A CloudEvent whose data nobody has read yet; its fields are those of `Received`."""

    id: str
    source: str
    type: str
    time: datetime | None
    cause_id: str
    correlation_id: str
    traceparent: str
    data: bytes

    @property
    def cause(self) -> Cause:
        """This event as the cause of the next ones."""
        return Cause(self.id, self.correlation_id, self.traceparent)

    def open(self, event_class: type[E]) -> Received[E]:
        """Read the data.

        Raises:
            InvalidInput: it is of another type, or breaks the class's rules.
        """
        if self.type != event_class.type:
            raise InvalidInput.of("type", self.type, f"allowed on this topic: {event_class.type}")
        return Received(
            event=event_class.from_json(self.data),
            id=self.id,
            source=self.source,
            time=self.time,
            cause_id=self.cause_id,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record, final to the last byte."""

    event_id: str
    topic: str
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    value: bytes | None

"""What surrounds an event on its way: who said it, why, and in which trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from so1s.events.event import Event

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
class Record:
    """A Kafka record, final to the last byte."""

    event_id: str
    topic: str
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes | None

"""Subscriptions: which function takes which event, and what else it asks for."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin, get_type_hints

import structlog

from so1s.events.envelope import Cause, Envelope, Received
from so1s.events.event import Event
from so1s.metrics import EVENTS
from so1s.store import Transaction

log = structlog.get_logger()

Handler = Callable[..., Awaitable[Event | Sequence[Event] | None]]
Rejected = Callable[[Exception, Mapping[str, Any]], Event | None]
"""Answers an event that will not be handled, from what is wrong and from its raw fields."""


@dataclass
class Subscription:
    """A handler and what it is given."""

    event_class: type[Event]
    handler: Handler
    batch: bool
    rejected: Rejected | None = None
    provided: dict[type, Any] = field(default_factory=dict)
    """Shared by all subscriptions of a consumer: what the composition root gave, by type."""

    def __post_init__(self) -> None:
        self._injected = injected(self.handler)  # a missing annotation shows at once

    async def call(self, received: Received, tx: Transaction) -> list[Event]:
        """Give the handler an event; answers the events that it produced."""
        if self.batch:
            return await self.call_batch([received], tx)
        return await self._call(received.event, {Transaction: tx, Cause: received.cause, Received: received})

    async def call_batch(self, batch: list[Received], tx: Transaction) -> list[Event]:
        """Give the handler many events at once."""
        return await self._call(batch, {Transaction: tx})

    async def _call(self, first: Any, given: dict[type, Any]) -> list[Event]:
        available = self.provided | given
        others = {name: available[kind] for name, kind in self._injected.items()}
        produced = await self.handler(first, **others)
        if produced is None:
            return []
        return [produced] if isinstance(produced, Event) else list(produced)

    def count(self, outcome: str, events: int = 1) -> None:
        """Count what became of events."""
        EVENTS.labels(self.event_class.type, outcome).inc(events)

    def missing(self) -> list[str]:
        """The parameters that nothing was provided for."""
        given = {Transaction} if self.batch else {Transaction, Cause, Received}
        return [name for name, kind in self._injected.items() if kind not in given | self.provided.keys()]

    def rejection(self, error: Exception, envelope: Envelope) -> Event | None:
        """The event that answers one which will not be handled; None where there is nothing to say."""
        if self.rejected is None:
            return None
        try:
            answer = self.rejected(error, json.loads(envelope.data))
            if answer:
                answer.to_json()  # one that is too large must not hold up its cause
        except Exception as unsayable:  # noqa: BLE001 - a stranger's fields: the dead letter stays the answer
            log.info("a rejected event has no answer", reason=str(unsayable))
            return None
        return answer


def injected(handler: Handler) -> dict[str, type]:
    """A handler's parameters after the event, by name, with the types that they are injected by.

    Raises:
        NameError: an annotation cannot be resolved.
        KeyError: a parameter has none.
    """
    hints = get_type_hints(handler)
    _event, *others = inspect.signature(handler).parameters
    return {name: get_origin(hints[name]) or hints[name] for name in others}

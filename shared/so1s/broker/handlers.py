"""Subscriptions: which function takes which event, and what else it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from so1s.events.envelope import Cause, Received
from so1s.events.event import Event
from so1s.store import Transaction

Handler = Callable[..., Awaitable[Event | Sequence[Event] | None]]


@dataclass
class Subscription:
    """A handler and what it is given."""

    event_class: type[Event]
    handler: Handler
    batch: bool
    provided: dict[type, Any] = field(default_factory=dict)
    """Shared by all subscriptions of a consumer: what the composition root gave, by type."""

    async def call(self, received: Received, tx: Transaction) -> list[Event]:
        """Give the handler an event; answers the events that it produced."""
        return await self._call(received.event, {Transaction: tx, Cause: received.cause, Received: received})

    async def call_batch(self, batch: list[Received], tx: Transaction) -> list[Event]:
        """Give the handler many events at once."""
        return await self._call(batch, {Transaction: tx})

    async def _call(self, first: Any, given: dict[type, Any]) -> list[Event]:
        available = self.provided | given
        wanted = injected(self.handler)
        produced = await self.handler(first, **{name: available[kind] for name, kind in wanted.items()})
        if produced is None:
            return []
        return [produced] if isinstance(produced, Event) else list(produced)

    def missing(self) -> list[str]:
        """The parameters that nothing was provided for."""
        known = {Transaction, Cause, Received, *self.provided}
        return [name for name, kind in injected(self.handler).items() if kind not in known]


def injected(handler: Handler) -> dict[str, type]:
    """A handler's parameters after the event, by name, with the types that they are injected by."""
    hints = get_type_hints(handler)
    _event, *others = inspect.signature(handler).parameters
    return {name: hints[name] for name in others}

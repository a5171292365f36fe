"""The transaction: state and events that commit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from so1s.events.codec import encode
from so1s.events.envelope import Cause, Record
from so1s.events.event import Event
from so1s.events.ids import derived_id


class Transaction:
    """An open transaction; what is emitted in it is sent if and only if it commits."""

    def __init__(
        self, connection: AsyncConnection, *, producer: str, cause: Cause | None, now: datetime
    ) -> None:
        self.connection = connection
        self.cause = cause
        self.now = now
        self.records: list[Record] = []
        self.afterwards: list[Callable[[], None]] = []
        self._producer = producer
        self._ordinals: Counter[tuple[str, str, str]] = Counter()

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Run an SQLAlchemy Core statement."""
        return await self.connection.execute(statement, parameters)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call something once this is committed, such as to wake a loop that reads it."""
        self.afterwards.append(call)

    def emit(
        self,
        event: Event,
        *,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        cause: Cause | None = None,
    ) -> None:
        """Say an event.

        Args:
            event: to send after the commit.
            id: where the same cause says this type of the same subject in other transactions too,
                an id of `so1s.events.ids`; derived from the cause where it is absent.
            cause: whom it answers, where that is not the event in hand.

        Raises:
            ValueError: neither an id nor a cause is there to derive one from.
            InvalidInput: the event is too large.
        """
        source = f"so1s/{self._producer}"
        cause = cause or self.cause
        event_id = id or self._derive(event, cause)
        self.records.append(encode(event, id=event_id, source=source, time=self.now, cause=cause))

    def _derive(self, event: Event, cause: Cause | None) -> str:
        if cause is None:
            raise ValueError(f"{event.type} needs an id, since nothing in hand caused it")
        name = (cause.event_id, event.type, event.key)
        ordinal = self._ordinals[name]
        self._ordinals[name] += 1
        return derived_id(self._producer, *name, ordinal)

"""Tests of consumers without a broker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from so1s.events.codec import Headers, decode, encode, unwrap
from so1s.events.envelope import Cause, Received
from so1s.events.event import Event, event_class
from so1s.service import Consumer
from so1s.store import Store


async def run(
    consumer: Consumer, event: Event, *, store: Store | None = None, provide: Iterable[object] = ()
) -> list[Event]:
    """Give an event to a consumer; answers the events that it would publish.

    Args:
        consumer: with a handler for the event.
        event: goes through the wire format first, as it would on a topic.
        store: a migrated one, for handlers with state of their own.
        provide: what the composition root would give.

    Raises:
        LookupError: the consumer has no handler for the event.
    """
    consumer.provide(*provide)
    if store:
        return await _deliver(consumer, event, store)
    with tempfile.TemporaryDirectory() as directory:
        temporary = Store(f"sqlite+aiosqlite:///{Path(directory)}/store.db", producer=consumer.name)
        await temporary.migrate()
        try:
            return await _deliver(consumer, event, temporary)
        finally:
            await temporary.close()


async def _deliver(consumer: Consumer, event: Event, store: Store) -> list[Event]:
    subscription = next((each for each in consumer.subscriptions if each.event_class is type(event)), None)
    if subscription is None:
        raise LookupError(f"{consumer.name} has no handler for {type(event).__name__}")
    received = _on_the_wire(event)
    async with store.transaction(received.cause) as tx:
        for produced in await subscription.call(received, tx):
            tx.emit(produced)
        return [_event(record.headers, record.value) for record in tx.records]


def _on_the_wire(event: Event) -> Received:
    record = encode(event, id="test", source="test", time=datetime.now(UTC), cause=Cause("test", "test"))
    return decode(type(event), record.headers, record.value)


def _event(headers: Headers, value: bytes | None) -> Event:
    envelope = unwrap(headers, value)
    return envelope.open(event_class(envelope.type)).event

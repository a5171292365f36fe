"""Tests of consumers without a broker."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from so1s.broker.handlers import Subscription
from so1s.errors import InvalidInput
from so1s.events.codec import Headers, decode, encode, unwrap
from so1s.events.envelope import Envelope, Received
from so1s.events.event import Event, event_class
from so1s.service import Consumer
from so1s.store import Store


async def run(
    consumer: Consumer,
    event: Event,
    *,
    event_id: str = "test",
    store: Store | None = None,
    provide: Iterable[object] = (),
) -> list[Event]:
    """Give an event to a consumer; answers the events that it would publish.

    Args:
        consumer: with a handler for the event.
        event: goes through the wire format first, as it would on a topic.
        event_id: of the event, which begins a chain.
        store: a migrated one, for handlers with state of their own.
        provide: what the composition root would give.

    Raises:
        LookupError: the consumer has no handler for the event.
    """
    consumer.provide(*provide)
    received = _on_the_wire(event, event_id)
    if store:
        return await _deliver(consumer, received, store)
    with tempfile.TemporaryDirectory() as directory:
        temporary = Store(f"sqlite+aiosqlite:///{Path(directory)}/store.db", producer=consumer.name)
        await temporary.migrate()
        try:
            return await _deliver(consumer, received, temporary)
        finally:
            await temporary.close()


def refusal(consumer: Consumer, event_class: type[Event], fields: Mapping[str, Any]) -> Event | None:
    """Give fields that break a rule of an event to a consumer; answers what their author is told.

    Raises:
        LookupError: the consumer has no handler for the event.
        ValueError: the fields break no rule.
    """
    data = json.dumps(fields).encode()
    envelope = Envelope("test", "test", event_class.type, None, "", "test", "", data)
    try:
        event_class.from_json(data)
    except InvalidInput as error:
        return _subscription(consumer, event_class).rejection(error, envelope)
    raise ValueError(f"{event_class.__name__} allows these fields")


def _subscription(consumer: Consumer, event_class: type[Event]) -> Subscription:
    found = next((each for each in consumer.subscriptions if each.event_class is event_class), None)
    if found is None:
        raise LookupError(f"{consumer.name} has no handler for {event_class.__name__}")
    return found


async def _deliver(consumer: Consumer, received: Received, store: Store) -> list[Event]:
    subscription = _subscription(consumer, type(received.event))
    async with store.transaction(received.cause) as tx:
        for produced in await subscription.call(received, tx):
            tx.emit(produced)
        return [_event(record.headers, record.value) for record in tx.records]


def _on_the_wire(event: Event, event_id: str) -> Received:
    record = encode(event, id=event_id, source="test", time=datetime.now(UTC), cause=None)
    return decode(type(event), record.headers, record.value)


def _event(headers: Headers, value: bytes | None) -> Event:
    envelope = unwrap(headers, value)
    return envelope.open(event_class(envelope.type)).event

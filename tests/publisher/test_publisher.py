"""Publishers on a real broker."""

import asyncio
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from so1s.broker.reader import Reader
from so1s.errors import Refused, Unreachable
from so1s.events import Event, WeightsChanged
from so1s.events import event as event_module
from so1s.events.codec import decode
from so1s.platform import ClientSettings
from so1s.publisher import AsyncPublisher, Publisher
from so1s.ways.kafka import TopicMissing


def weights() -> WeightsChanged:
    return WeightsChanged(account="risk", endpoint=f"e-{uuid.uuid4().hex[:8]}", weights={"fraud": 1})


async def published(settings, event):
    async with Reader(settings, [event.topic.name]) as reader:
        found = [decode(type(event), record.headers, record.value) async for record in reader.past()]
    return [received for received in found if received.event == event]


async def test_a_published_event_is_read_as_it_was_said(settings):
    event = weights()
    async with AsyncPublisher(settings) as publisher:
        event_id = await publisher.publish(event, source="airflow/risk_daily")
    (received,) = await published(settings, event)
    assert (received.id, received.source) == (event_id, "airflow/risk_daily")
    assert received.correlation_id == event_id


async def test_a_repeated_call_says_the_same_event(settings):
    event = weights()
    async with AsyncPublisher(settings) as publisher:
        first = await publisher.publish(event)
        again = await publisher.publish(event)
        elsewhere = await publisher.publish(event, source="another")
        on_purpose = await publisher.publish(event, id="on-purpose")
    assert first == again
    assert len({first, elsewhere, on_purpose}) == 3


async def test_a_missing_topic_is_named_at_once_with_what_to_do(settings, monkeypatch):
    monkeypatch.setattr(event_module, "_catalogue", {})  # the class stays out of other tests' sight

    class Untold(Event, key=("account",), prefix="elsewhere"):
        """An event whose topic nobody makes."""

    # What may yet come is waited for 15 s.
    async with AsyncPublisher(settings) as publisher, asyncio.timeout(14):
        with pytest.raises(TopicMissing, match=r"no topic elsewhere\.untold.*so1s topics apply"):
            await publisher.publish(Untold(account="risk"))


async def test_an_event_that_kafka_refuses_is_an_error_with_the_reason(settings, monkeypatch):
    monkeypatch.setattr(event_module, "_catalogue", {})

    class Long(Event, key=("account",), prefix=f"small-{uuid.uuid4().hex[:8]}"):
        """An event whose topic takes little."""

        text: str

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(Long.topic.name, 1, 1, topic_configs={"max.message.bytes": "1000"})])
    await admin.close()
    async with AsyncPublisher(settings) as publisher:
        with pytest.raises(Refused, match=r"Kafka refuses event .*TooLarge"):
            await publisher.publish(Long(account="risk", text="x" * 2000))
        await publisher.publish(Long(account="risk", text="x"))


async def test_without_a_broker_the_error_says_where_it_looked():
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 .*SO1S_KAFKA"):
        async with AsyncPublisher(ClientSettings(kafka="127.0.0.1:1"), patience_seconds=0.1):
            pass


async def test_the_synchronous_publisher_works_where_a_loop_runs_already(settings):
    event = weights()
    with Publisher(settings) as publisher:
        first = publisher.publish(event)
        assert publisher.publish(event) == first
    assert len(await published(settings, event)) == 2


def test_the_synchronous_publisher_leaves_no_thread_behind_when_it_cannot_connect():
    publisher = Publisher(ClientSettings(kafka="127.0.0.1:1"), patience_seconds=0.1)
    with pytest.raises(Unreachable), publisher:
        pass
    assert not publisher._thread._thread.is_alive()


async def test_a_reader_starts_at_a_time(settings):
    event = weights()
    async with AsyncPublisher(settings) as publisher:
        await publisher.publish(event)
    (received,) = await published(settings, event)
    late = received.time.replace(year=received.time.year + 1)
    async with Reader(settings, [event.topic.name], since=late) as reader:
        assert [record async for record in reader.past()] == []


async def test_a_reader_of_a_missing_topic_has_nothing_to_read(settings):
    async with Reader(settings, ["nowhere"]) as reader:
        assert [record async for record in reader.past()] == []

"""Pipelines live through a restart of Kafka, and hear of a longer absence in clear words."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

import so1s
from so1s.broker.reader import Reader, decoded
from so1s.broker.topics import provision, wanted
from so1s.errors import Unreachable
from so1s.events import WeightsChanged
from so1s.events.envelope import Cause
from so1s.platform import ClientSettings
from so1s.publisher import AsyncPublisher, Publisher
from so1s_broker import Broker
from tests import played_events as played


class Away:
    """Stands at the address of a broker that is away, and sees who asks for it."""

    def __init__(self, broker: Broker) -> None:
        self._address = broker.bootstrap_servers.split(":")
        self.was_asked = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._refuse, *self._address)
        return self

    async def __aexit__(self, *_error):
        self._server.close()
        await self._server.wait_closed()

    async def _refuse(self, _reader, writer):
        writer.transport.abort()
        self.was_asked.set()


@asynccontextmanager
async def absence(broker):
    """Kafka is killed, somebody asks for it, and it comes back."""
    broker.kill()
    async with Away(broker) as away:
        yield
        async with asyncio.timeout(60):
            await away.was_asked.wait()
    await asyncio.to_thread(broker.start)


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path / "kafka") as broker, ThreadPoolExecutor() as thread:
        settings = ClientSettings(kafka=broker.bootstrap_servers)
        thread.submit(asyncio.run, provision(settings, wanted([]))).result()
        yield broker


@pytest.fixture
def laptop(broker, tmp_path):
    return ClientSettings(
        kafka=broker.bootstrap_servers, artifacts=f"file://{tmp_path}/artifacts/", account="risk"
    )


@pytest.fixture
def weights():
    return WeightsChanged(account="risk", endpoint=f"e-{uuid.uuid4().hex[:8]}", weights={"fraud": 1})


@pytest.fixture
def published(laptop):
    return so1s.publish_model("fraud", "s3://ml/fraud.skops", version="3", settings=laptop)


async def said(settings, event):
    async with Reader(settings, [event.topic.name]) as reader:
        found = [each async for record in reader.past() if (each := decoded(record))]
    return {each.id for each in found if each.event == event}


def answer(published, *answers):
    cause = Cause(published.event_id, published.event_id)
    with Publisher(published.settings) as publisher:
        for each in answers:
            publisher.publish(each, source="so1s/played", cause=cause)


async def test_an_event_that_is_published_while_kafka_restarts_arrives(broker, laptop, weights):
    async with AsyncPublisher(laptop) as publisher:
        async with absence(broker):
            publishing = asyncio.create_task(publisher.publish(weights))
        event_id = await publishing
    assert await said(laptop, weights) == {event_id}


async def test_a_publisher_that_is_opened_while_kafka_restarts_waits_for_it(broker, laptop, weights):
    def publish():
        with Publisher(laptop) as publisher:
            return publisher.publish(weights)

    async with absence(broker):
        publishing = asyncio.create_task(asyncio.to_thread(publish))
    event_id = await publishing
    assert await said(laptop, weights) == {event_id}


async def test_a_kafka_that_stays_away_is_an_error_that_says_what_to_do(broker, laptop, weights, monkeypatch):
    monkeypatch.setattr("so1s.broker.producer._STOP_SECONDS", 0.1)
    async with AsyncPublisher(laptop, patience_seconds=0.5) as publisher:
        broker.kill()
        async with asyncio.timeout(14):  # one of no patience of its own tries for 15 s
            with pytest.raises(Unreachable, match=r"does not answer at .*; set SO1S_KAFKA"):
                await publisher.publish(weights)


async def test_waiting_that_begins_while_kafka_restarts_goes_on_to_its_end(broker, published):
    async with absence(broker):
        waiting = asyncio.create_task(asyncio.to_thread(published.wait_until_serving, 60))
    await asyncio.to_thread(
        answer, published, played.built("fraud"), played.ready("fraud"), played.applied("fraud")
    )
    assert (await waiting).revision == 7


async def test_waiting_outlives_a_restart_of_kafka_and_tells_no_step_twice(broker, published):
    steps = []

    def restart(step):
        steps.append(step.name)
        if step.name == "published":
            broker.kill()
            broker.start()

    waiting = asyncio.create_task(asyncio.to_thread(published.wait_until_serving, 20, on_step=restart))
    await asyncio.to_thread(
        answer, published, played.built("fraud"), played.ready("fraud"), played.applied("fraud")
    )
    assert (await waiting).revision == 7
    assert steps == ["published", "built", "ready", "serving"]


async def test_waiting_for_a_kafka_that_stays_away_is_an_error_once_the_time_is_over(broker, published):
    broker.kill()
    with pytest.raises(Unreachable, match="does not answer"):
        await asyncio.to_thread(published.wait_until_serving, 1)

"""A console on a real server, with a real broker."""

import asyncio

import httpx
import pytest

from services.console.app import build
from services.console.metrics import WAITS
from so1s import events
from so1s.broker.reader import Reader
from so1s.events.codec import decode
from so1s.events.envelope import Cause
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings
from so1s_broker import Broker
from tests import played_events as played
from tests.console.conftest import bearer, uploaded


async def read(kafka, event_class):
    settings = KafkaSettings(kafka=kafka)
    async with Reader(settings, [event_class.topic.name]) as reader:
        return [decode(event_class, each.headers, each.value) async for each in reader.past()]


async def test_an_accepted_event_reaches_kafka_and_its_answer_the_one_who_waits(
    own_kafka, settings, serve, eventually
):
    service = build(settings.model_copy(update={"kafka": own_kafka}))
    async with service.running(), serve(service) as console:
        token = await console.token()
        assert (await console.post(token, uploaded())).status_code == 202
        await eventually(lambda: read(own_kafka, events.ModelUploaded), seconds=30)
        waiting = asyncio.create_task(
            console.http.get("/v1/chains/run-7?known=1&wait_seconds=30", headers=bearer(token))
        )
        async with AsyncPublisher(KafkaSettings(kafka=own_kafka)) as publisher:
            await publisher.publish(
                played.build_failed("fraud"), source="so1s/builder", cause=Cause("run-7", "run-7")
            )
        told = (await waiting).json()["events"]
        assert [each["type"] for each in told] == ["so1s.ModelUploaded.v1", "so1s.BuildFailed.v1"]
        assert told[1]["data"]["log_tail"] == played.build_failed("fraud").log_tail
    (received,) = await read(own_kafka, events.ModelUploaded)
    assert (received.id, received.source) == ("run-7", "account/risk/airflow/risk_daily")


async def test_an_event_that_was_accepted_while_kafka_was_away_arrives_once_when_it_is_back(
    settings, serve, eventually, tmp_path
):
    broker = Broker(tmp_path / "kafka")
    broker.start()
    kafka = broker.bootstrap_servers
    service = build(settings.model_copy(update={"kafka": kafka}))
    try:
        async with service.running(), serve(service) as console:
            token = await console.token()
            await asyncio.to_thread(broker.kill)
            for _ in range(2):
                assert (await console.post(token, uploaded("while-away"))).status_code == 202
            assert await service.store.outbox.depth() == 1
            broker = Broker(tmp_path / "kafka", port=int(kafka.rpartition(":")[2]))
            await asyncio.to_thread(broker.start)

            async def is_sent():
                return await service.store.outbox.depth() == 0

            await eventually(is_sent, seconds=30)
        assert [each.id for each in await read(kafka, events.ModelUploaded)] == ["while-away"]
    finally:
        await asyncio.to_thread(broker.stop)


async def test_a_client_that_gives_up_waiting_is_noticed(console, serve, eventually):
    token = await console.token()
    async with serve(console.service) as served:
        with pytest.raises(httpx.ReadTimeout):
            await served.http.get("/v1/chains/x?wait_seconds=30", headers=bearer(token), timeout=0.5)
        await eventually(lambda: WAITS._value.get() == 0, seconds=5)

"""The producer goes on after a refusal, and ends in time."""

import time
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from so1s.broker import producer as producers
from so1s.broker.producer import Producer
from so1s.events.envelope import Record
from so1s.settings import KafkaSettings
from so1s_broker import Broker


async def a_topic(kafka, **configs):
    name = f"producer.{uuid.uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=configs)])
    await admin.close()
    return name


def record(topic, size=10):
    return Record("", topic, b"k", [], b"x" * size)


async def test_records_go_out_in_their_order(kafka, bench):
    await bench.provision()
    records = [Record("", bench.Heard.topic.name, b"k", [], str(number).encode()) for number in range(200)]
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        await producer.send(records)
    assert [each.value for each in await bench.records(bench.Heard.topic)] == [each.value for each in records]


async def test_a_refused_record_does_not_stop_the_next_ones(kafka):
    topic = await a_topic(kafka, **{"max.message.bytes": "2000"})
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        with pytest.raises(KafkaError):
            await producer.send([record(topic, size=5000)])
        await producer.send([record(topic)])


async def test_it_waits_for_a_broker_that_is_away_and_stops_in_time(tmp_path, monkeypatch, eventually):
    monkeypatch.setattr(producers, "_STOP_SECONDS", 0.2)
    with Broker(tmp_path) as broker:
        topic = await a_topic(broker.bootstrap_servers)
        async with Producer(KafkaSettings(kafka=broker.bootstrap_servers)) as producer:
            await producer.send([record(topic)])
            broker.kill()
            broker.start()
            await producer.send([record(topic)])
            broker.kill()
            began = time.monotonic()
        assert time.monotonic() - began < 5

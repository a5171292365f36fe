"""The producer goes on after a refusal, and ends in time."""

import asyncio
import time
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import PolicyViolationError, TopicAuthorizationFailedError

from so1s.broker import producer as producers
from so1s.broker.producer import Producer
from so1s.broker.reader import Reader
from so1s.errors import Refused
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


def record(topic, size=10, event_id=""):
    return Record(event_id, topic, b"k", [], b"x" * size)


async def test_records_go_out_in_their_order(kafka, bench):
    await bench.provision()
    records = [Record("", bench.Heard.topic.name, b"k", [], str(number).encode()) for number in range(200)]
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        await producer.send(records)
    assert [each.value for each in await bench.records(bench.Heard.topic)] == [each.value for each in records]


async def values(kafka, topic):
    async with Reader(KafkaSettings(kafka=kafka), [topic]) as reader:
        return [each.value async for each in reader.past()]


async def test_a_record_that_kafka_refuses_is_named_with_the_reason_and_all_others_are_taken_once(kafka):
    small, open_ = await a_topic(kafka, **{"max.message.bytes": "2000"}), await a_topic(kafka)
    records = [record(small, event_id=f"small-{number}") for number in range(20)]
    records[10] = record(small, size=5000, event_id="large")  # in one batch with the others
    records += [record(open_, event_id=f"open-{number}") for number in range(20)]
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        with pytest.raises(Refused) as refused:
            await producer.send(records)
        await producer.send([record(small, event_id="later")])
    assert list(refused.value.errors) == ["large"]
    assert "TooLarge" in str(refused.value.errors["large"])
    assert len(await values(kafka, small)) == 19 + 1
    assert len(await values(kafka, open_)) == 20


async def test_what_is_too_large_for_any_topic_is_refused_too(kafka):
    topic = await a_topic(kafka)
    records = [record(topic), record(topic, size=2**20 + 1, event_id="large"), record(topic)]
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        with pytest.raises(Refused, match=r"event large: .*MessageSizeTooLarge"):
            await producer.send(records)
    assert len(await values(kafka, topic)) == 2


async def test_a_topic_that_is_not_there_refuses_all_its_records_at_once_and_no_others(kafka):
    topic, missing = await a_topic(kafka), f"missing.{uuid.uuid4().hex}"
    records = [record(missing, event_id=str(number)) for number in range(100)] + [record(topic)]
    # A client that waits for a topic does so for 40 s.
    async with Producer(KafkaSettings(kafka=kafka)) as producer, asyncio.timeout(30):
        with pytest.raises(Refused) as refused:
            await producer.send(records)
    assert len(refused.value.errors) == 100
    assert f"UnknownTopicOrPartitionError: {missing}" in str(refused.value.errors["0"])
    assert len(await values(kafka, topic)) == 1


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError, PolicyViolationError])
async def test_what_an_operator_forbids_is_refused_until_it_is_allowed(kafka, monkeypatch, error):
    """The embedded broker knows no permissions: the answer of the client is played, for one topic."""
    forbidden, topic = await a_topic(kafka), await a_topic(kafka)
    send = producers._send

    async def play(client, each):
        if each.topic != forbidden:
            return await send(client, each)
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(error(forbidden))
        return answer

    records = [record(forbidden, event_id="1"), record(topic), record(forbidden, event_id="2")]
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        with monkeypatch.context() as operator:
            operator.setattr(producers, "_send", play)
            with pytest.raises(Refused, match=f"event 1: .*{error.__name__}") as refused:
                await producer.send(records)
        await producer.send([records[0]])
    assert set(refused.value.errors) == {"1", "2"}
    assert (len(await values(kafka, topic)), len(await values(kafka, forbidden))) == (1, 1)


async def test_a_topic_that_was_just_made_refuses_nothing(kafka):
    async with Producer(KafkaSettings(kafka=kafka)) as producer:
        topic = await a_topic(kafka)
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
        assert time.monotonic() - began < 30  # what is left would be tried for 40 s

"""What the broker keeps over kill -9: topics made by CreateTopics, their messages, commits and settings."""

import asyncio
import itertools

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from so1s_broker import Broker

PARTITIONS = 3
MESSAGES = 100
READ_SECONDS = 60


@pytest.fixture(params=[False, True], ids=["page-cache", "sync-writes"])
def broker(tmp_path, request):
    with Broker(tmp_path / "data", sync_writes=request.param) as broker:
        yield broker


def crash(broker):
    broker.kill()
    broker.start()


async def send(broker, topic, values):
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, acks="all", enable_idempotence=True
    ) as producer:
        for value in values:
            await producer.send_and_wait(topic, b"%d" % value, partition=value % PARTITIONS)


def consumer_of(broker, topic):
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap_servers,
        group_id="readers",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


async def read(consumer, count):
    async with asyncio.timeout(READ_SECONDS):
        return sorted([int((await consumer.getone()).value) for _ in range(count)])


async def test_topics_and_their_messages_survive_kill_9(broker, create_topic):
    await create_topic("kept", PARTITIONS)
    await send(broker, "kept", range(MESSAGES))
    crash(broker)
    await send(broker, "kept", range(MESSAGES, 2 * MESSAGES))
    crash(broker)
    async with consumer_of(broker, "kept") as consumer:
        assert consumer.partitions_for_topic("kept") == set(range(PARTITIONS))
        assert await read(consumer, 2 * MESSAGES) == list(range(2 * MESSAGES))


async def test_a_kill_in_mid_flight_loses_nothing_and_the_producer_goes_on(broker, create_topic):
    await create_topic("flight", PARTITIONS)
    many, some = 3000, 500
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, acks="all", enable_idempotence=True, max_batch_size=600
    ) as producer:
        sends = [
            asyncio.ensure_future(
                producer.send_and_wait("flight", b"%d" % value, partition=value % PARTITIONS)
            )
            for value in range(many)
        ]
        for acknowledged in itertools.islice(asyncio.as_completed(sends), some):
            await acknowledged
        crash(broker)
        assert not all(send.done() for send in sends)
        await asyncio.gather(*sends)
    async with consumer_of(broker, "flight") as consumer:
        # A batch that was written but not yet acknowledged may come twice.
        seen = set()
        async with asyncio.timeout(READ_SECONDS):
            while len(seen) < many:
                seen.add(int((await consumer.getone()).value))


async def test_commits_survive_kill_9_so_a_group_goes_on_where_it_was(broker, create_topic):
    await create_topic("committed", PARTITIONS)
    await send(broker, "committed", range(MESSAGES))
    async with consumer_of(broker, "committed") as consumer:
        await read(consumer, MESSAGES)
        await consumer.commit()
    crash(broker)
    await send(broker, "committed", [MESSAGES])
    async with consumer_of(broker, "committed") as consumer:
        assert await read(consumer, 1) == [MESSAGES]


async def test_retention_settings_are_taken_and_survive_kill_9(broker, admin, create_topic):
    await create_topic("short", PARTITIONS, **{"retention.ms": "86400000", "retention.bytes": "1048576"})
    crash(broker)
    async with admin() as client:
        (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "short")])
    configs = {name: value for name, value, *_ in answer.resources[0][4]}
    assert (configs["retention.ms"], configs["retention.bytes"]) == ("86400000", "1048576")


async def test_a_topic_is_never_made_by_use_since_it_would_not_survive(broker, admin):
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        producer.client.add_topic("guessed")
        await producer.client.force_metadata_update()
    async with admin() as client:
        assert await client.list_topics() == []

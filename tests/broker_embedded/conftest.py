"""A broker of a test's own, which it may crash, and topics on it."""

from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from so1s_broker import Broker


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path / "data") as broker:
        yield broker


@pytest.fixture
def admin(broker):
    @asynccontextmanager
    async def connect():
        client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    return connect


@pytest.fixture
def create_topic(admin):
    async def create(name, partitions, **configs):
        topic = NewTopic(name, partitions, replication_factor=1, topic_configs=configs)
        async with admin() as client:
            answer = await client.create_topics([topic])
        assert [code for _, code, *_ in answer.topic_errors] == [0]

    return create

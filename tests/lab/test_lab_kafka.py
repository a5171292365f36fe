"""Apache Kafka: topics are its owners' to make."""

import uuid

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError


async def test_a_topic_that_nobody_made_is_not_made_by_its_producer(kafka):
    async with AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=2000) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"absent.{uuid.uuid4().hex}", b"x")


async def test_it_is_one_broker(kafka):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    brokers = (await admin.describe_cluster())["brokers"]
    await admin.close()
    assert [f"{each['host']}:{each['port']}" for each in brokers] == [kafka]

"""Events of other people's clients are events like any other."""

import json
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer
from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

DATA = {"account": "risk", "name": "ada", "number": 7, "of": "a field that this version does not know"}


def binary(bench):
    said = {"id": "run-1", "source": "airflow", "specversion": "1.0", "type": bench.Noted.type}
    headers = [(f"ce_{name}", text.encode()) for name, text in said.items()]
    return [*headers, ("content-type", b"application/json"), ("x-team", b"\xff")], json.dumps(DATA).encode()


def cloud_event(bench):
    return CloudEvent(
        {
            "id": "run-1",
            "source": "https://airflow.example/dags/risk",
            "type": bench.Noted.type,
            "time": datetime(2030, 1, 1, tzinfo=UTC),
            "subject": "risk/ada",
            "partitionkey": "risk/ada",
            "myextension": "theirs",
        },
        DATA,
    )


async def from_aiokafka(bench):
    headers, value = binary(bench)
    async with AIOKafkaProducer(bootstrap_servers=bench.kafka) as producer:
        await producer.send_and_wait(bench.Noted.topic.name, value, headers=headers)


async def from_confluent(bench):
    headers, value = binary(bench)
    producer = Producer({"bootstrap.servers": bench.kafka})
    producer.produce(bench.Noted.topic.name, value, key="their key", headers=headers)
    assert producer.flush(10) == 0


async def from_sdk(bench, convert):
    message = convert(cloud_event(bench))
    async with AIOKafkaProducer(bootstrap_servers=bench.kafka) as producer:
        await producer.send_and_wait(
            bench.Noted.topic.name,
            message.value,
            key=message.key.encode(),
            headers=list(message.headers.items()),
        )


async def from_sdk_structured(bench):
    await from_sdk(bench, to_structured_event)


async def from_sdk_binary(bench):
    await from_sdk(bench, to_binary_event)


@pytest.mark.parametrize("send", [from_aiokafka, from_confluent, from_sdk_structured, from_sdk_binary])
async def test_an_event_made_with_another_client_is_accepted(bench, numbers, eventually, send):
    @bench.consumer.on(bench.Noted)
    async def answer(noted):
        numbers.append(noted.number)
        return bench.hear(noted.number)

    await bench.provision()
    await send(bench)
    async with bench.service():
        await eventually(bench.is_done)
    assert await bench.dead_letters() == []
    assert numbers == [7]
    (answered,) = await bench.records(bench.Heard.topic)
    assert dict(answered.headers)["ce_causationid"] == b"run-1"

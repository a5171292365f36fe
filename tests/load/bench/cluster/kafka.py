"""Events through Apache Kafka, beside aiokafka alone on the same broker."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer

import so1s
from so1s.events.codec import encode
from so1s.settings import ServiceSettings
from tests.load.bench import consume
from tests.load.bench.figure import Figure
from tests.load.bench.measure import medians
from tests.load.bench.samples import sample

_EVENTS = 300
_ROUNDS = 5
_PEER = "aiokafka's idempotent producer"


async def measure(kafka: str, directory: Path) -> list[Figure]:
    """Say events and take them, one by one and many together."""
    consumed = await consume.measure_on(kafka, directory)
    settings = ServiceSettings(kafka=kafka)
    bare = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
    async with so1s.AsyncPublisher(settings) as publisher, bare as producer:
        one, bare_one = await medians(
            lambda: _one_by_one(lambda number: _say(publisher, number)),
            lambda: _one_by_one(lambda number: _send(producer, number)),
            rounds=_ROUNDS,
        )
        many, bare_many = await medians(
            lambda: _together(lambda number: _say(publisher, number)),
            lambda: _together(lambda number: _send(producer, number)),
            rounds=_ROUNDS,
        )
    return [
        Figure("publish one by one", "events/s", one, _PEER, bare_one),
        Figure(f"publish {_EVENTS} at once", "events/s", many, _PEER, bare_many),
        *consumed,
    ]


async def _one_by_one(say) -> float:
    began = time.perf_counter()
    for number in range(_EVENTS):
        await say(number)
    return _EVENTS / (time.perf_counter() - began)


async def _together(say) -> float:
    began = time.perf_counter()
    await asyncio.gather(*map(say, range(_EVENTS)))
    return _EVENTS / (time.perf_counter() - began)


async def _say(publisher: so1s.AsyncPublisher, number: int) -> None:
    await publisher.publish(sample(number), id=str(uuid.uuid4()))


async def _send(producer: AIOKafkaProducer, number: int) -> None:
    """The same bytes."""
    record = encode(sample(number), id=str(uuid.uuid4()), source="bench", time=datetime.now(UTC), cause=None)
    await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)

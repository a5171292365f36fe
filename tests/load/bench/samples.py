"""What is consumed: usage samples on a topic, and the row that is kept of each."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from aiokafka import AIOKafkaProducer

from so1s.broker.topics import provision
from so1s.events import UsageSampled
from so1s.events.codec import encode
from so1s.settings import ServiceSettings

_REPLICAS = 8
_WINDOW_SECONDS = 5
_START = int(time.time()) // _WINDOW_SECONDS * _WINDOW_SECONDS

metadata = sa.MetaData()
usage = sa.Table(
    "usage",
    metadata,
    sa.Column("window", sa.String, primary_key=True),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("cpu_used", sa.BigInteger, nullable=False),
    sa.Column("memory_used", sa.BigInteger, nullable=False),
)


def sample(number: int) -> UsageSampled:
    window, replica = divmod(number, _REPLICAS)
    return UsageSampled(
        account="risk",
        deployment="fraud",
        model="fraud",
        version="3",
        replica=f"0c3f7e8a-1111-4a4a-9d2b-{replica:012}",
        window_start=datetime.fromtimestamp(_START + window * _WINDOW_SECONDS, UTC),
        window_seconds=_WINDOW_SECONDS,
        quantities={
            "cpu_reserved": 2_500_000,
            "cpu_used": 123_456 + number,
            "memory_reserved": 5_120_000,
            "memory_used": 1_234_567,
            "gpu_reserved": 0,
        },
        quality="complete",
        user="airflow:risk_daily",
        labels={"team": "fraud-ds"},
    )


def row(event: UsageSampled) -> dict[str, Any]:
    return {
        "window": f"{event.key}/{int(event.window_start.timestamp())}",
        "account": event.account,
        "user": event.user,
        "cpu_used": event.quantities["cpu_used"],
        "memory_used": event.quantities["memory_used"],
    }


async def publish(kafka: str, number: int) -> None:
    await provision(ServiceSettings(kafka=kafka), [UsageSampled.topic])
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5) as producer:
        sent = []
        for each in map(sample, range(number)):
            record = encode(
                each, id=str(uuid.uuid4()), source="so1s/collector", time=datetime.now(UTC), cause=None
            )
            sent.append(
                await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
            )
        await asyncio.gather(*sent)

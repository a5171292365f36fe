"""Topics: made from the catalogue, never changed in their number of partitions.

A key's partition depends on that number, so to change it would tear an account's order apart.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from so1s.broker.connection import client_options, closed
from so1s.events.event import Topic, catalogue
from so1s.settings import KafkaSettings, ServiceSettings

log = structlog.get_logger()

_DAY_MS = 86_400_000
_DEAD_LETTER_DAYS = 30


@dataclass(frozen=True)
class Mismatch:
    """A topic that exists with another number of partitions than it should have."""

    topic: Topic
    partitions: int


def dead_letter_topic(service: str) -> Topic:
    """Where a service's undeliverable events are kept."""
    return Topic(f"so1s.dlq.{service}", partitions=1, retention_days=_DEAD_LETTER_DAYS)


def wanted(services: Iterable[str]) -> list[Topic]:
    """Every topic of the catalogue, and the dead letters of the services."""
    return [event.topic for event in catalogue().values()] + [dead_letter_topic(name) for name in services]


async def prepare(settings: ServiceSettings, topics: Sequence[Topic]) -> None:
    """Create the topics of a service that are missing, where it may; log what is not as it should be.

    Raises:
        KafkaError: the brokers refused, or none answers.
    """
    if not settings.provision_topics:
        for topic in await missing(settings, topics):
            log.error("topic is missing: `so1s topics export` says how to make it", topic=topic.name)
        return
    for wrong in await provision(settings, topics, replication=settings.topic_replication):
        log.warning(
            "topic has another number of partitions; it is left as it is",
            topic=wrong.topic.name,
            partitions=wrong.partitions,
            expected=wrong.topic.partitions,
        )


async def provision(
    settings: KafkaSettings, topics: Iterable[Topic], *, replication: int = 1
) -> list[Mismatch]:
    """Create the topics that are missing; say which exist with another number of partitions.

    Raises:
        KafkaError: the brokers refused.
    """
    async with _admin(settings) as admin:
        existing = set(await admin.list_topics())
        topics = list(topics)
        await _create(admin, [topic for topic in topics if topic.name not in existing], replication)
        here = [topic for topic in topics if topic.name in existing]
        return await _mismatches(admin, here) if here else []


async def missing(settings: KafkaSettings, topics: Iterable[Topic]) -> list[Topic]:
    """Which topics do not exist, or may not be seen."""
    async with _admin(settings) as admin:
        existing = set(await admin.list_topics())
    return [topic for topic in topics if topic.name not in existing]


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncGenerator[AIOKafkaAdminClient, None]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        yield admin
    finally:
        await closed(admin.close())


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], replication: int) -> None:
    if not topics:
        return
    new = [
        NewTopic(topic.name, topic.partitions, replication, topic_configs=topic_configs(topic))
        for topic in topics
    ]
    answer: Any = await admin.create_topics(new)
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another service may be faster
            raise error(f"topic {name}: {message}")


def topic_configs(topic: Topic) -> dict[str, str]:
    """Kafka's settings of a topic: deleted by age, never compacted."""
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_days * _DAY_MS)}


async def _mismatches(admin: AIOKafkaAdminClient, topics: list[Topic]) -> list[Mismatch]:
    described: list[dict[str, Any]] = await admin.describe_topics([topic.name for topic in topics])
    partitions = {answer["topic"]: len(answer["partitions"]) for answer in described}
    return [
        Mismatch(topic, partitions[topic.name])
        for topic in topics
        if partitions[topic.name] != topic.partitions
    ]

"""The producer: records go out in order, once, and are acknowledged by every in-sync replica."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from itertools import compress
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from so1s.broker.connection import client_options, closed
from so1s.broker.topics import dead_letter_topic
from so1s.errors import Refused
from so1s.events.envelope import Record
from so1s.settings import KafkaSettings

_STOP_SECONDS = 5.0
"""What waits to be sent while Kafka is away would wait for ever; the outbox has it still."""

_LOOKS = 2
"""For a topic: the first answer may be older than the question."""
_OF_THE_TOPIC = (InvalidTopicError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""Refusals of whatever is sent to a topic."""


class Producer:
    """Sends records; an async context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaConnectionError: no broker answers.
        """
        await self._connected()

    async def stop(self) -> None:
        """Send what waits, and disconnect."""
        client, self._client = self._client, None
        if client:
            await _stop(client)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stop."""
        await self.stop()

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in their order; return when Kafka has all of them, however long it is away.

        Raises:
            Refused: Kafka will not have some of them; it has all the others.
            KafkaError: it could not be asked; it may have some of them.
        """
        errors: dict[str, Exception] = {}
        closed: dict[str, BrokerResponseError] = {}  # topics that take nothing at all
        for record in await self._send_together(records):
            error = closed.get(record.topic) or await self._send_alone(record)
            if error:
                errors[record.event_id] = error
            if isinstance(error, _OF_THE_TOPIC):
                closed[record.topic] = error
        if errors:
            raise Refused(errors)

    async def _send_together(self, records: Sequence[Record]) -> list[Record]:
        """Send records at once; answers those that Kafka did not take, whoever is to blame for that.

        It refuses a whole batch for one record, and then the batches that follow: a refusal tears the
        sequence of an idempotent producer.
        """
        client = await self._connected()
        sent: list[Awaitable[Any]] = []
        with suppress(KafkaError):
            for topic in dict.fromkeys(record.topic for record in records):
                await _require(client, topic)
            for record in records:
                sent.append(await _send(client, record))  # noqa: PERF401 - it may end half-way
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        failed = [isinstance(outcome, BaseException) for outcome in outcomes]
        failed += [True] * (len(records) - len(failed))
        if any(failed):
            await self._drop(client)
        return list(compress(records, failed))

    async def _send_alone(self, record: Record) -> BrokerResponseError | None:
        """Send a record by itself; answers why Kafka refuses it, or None where it took it."""
        client = await self._connected()
        try:
            await _require(client, record.topic)
            await (await _send(client, record))
        except KafkaError as error:
            await self._drop(client)
            if isinstance(error, _OF_THE_TOPIC) or (
                isinstance(error, BrokerResponseError) and not error.retriable
            ):
                return error
            raise
        return None

    async def _drop(self, client: AIOKafkaProducer) -> None:
        """Let the next record go through a connection of its own."""
        if self._client is client:
            await self.stop()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._client is None:
                self._client = await _start(self._settings)
            return self._client


async def _start(settings: KafkaSettings) -> AIOKafkaProducer:
    client = AIOKafkaProducer(**client_options(settings), enable_idempotence=True, acks="all")
    try:
        await client.start()
    except BaseException:
        await closed(client.stop())  # it is left half open
        raise
    return client


async def _stop(client: AIOKafkaProducer) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await closed(client.stop())


async def _require(client: AIOKafkaProducer, topic: str) -> None:
    """Look for a topic; to send to one that is not there, aiokafka itself would look for 40 s.

    Raises:
        UnknownTopicOrPartitionError: it is not there.
        TopicAuthorizationFailedError: it may not be seen.
        KafkaConnectionError: no broker answers.
    """
    connection = client.client
    if connection.cluster.partitions_for_topic(topic):
        return
    connection.add_topic(topic)
    for _ in range(_LOOKS):
        if not await connection.force_metadata_update():
            raise KafkaConnectionError(f"no broker tells whether there is a topic {topic}")
        if connection.cluster.partitions_for_topic(topic):
            return
    if topic in connection.cluster.unauthorized_topics:
        raise TopicAuthorizationFailedError(topic)
    raise UnknownTopicOrPartitionError(topic)


async def _send(client: AIOKafkaProducer, record: Record) -> Awaitable[Any]:
    # Dead letters are numbered by their place in one partition, also where a broker made more of them.
    partition = 0 if record.topic.startswith(dead_letter_topic("").name) else None
    return await client.send(
        record.topic, record.value, key=record.key, partition=partition, headers=record.headers
    )

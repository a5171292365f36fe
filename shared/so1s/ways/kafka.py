"""The way of those who can reach Kafka."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from so1s.broker.producer import Producer
from so1s.broker.reader import Reader, correlation_id, decoded
from so1s.errors import Refused, So1sError, Unreachable
from so1s.events.codec import encode
from so1s.events.envelope import Cause, Received
from so1s.events.event import Event
from so1s.settings import KafkaSettings


class TopicMissing(So1sError):
    """The topic of an event does not exist."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Kafka has no topic {topic}; a service makes its topics when it starts, and `so1s topics apply` "
            "makes all of them (an operator who forbids that: `so1s topics export`)"
        )


class KafkaWay:
    """See `Way`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer = Producer(settings)

    async def open(self) -> None:
        """See `Way`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            raise self.away(error) from error

    async def close(self) -> None:
        """See `Way`."""
        await self._producer.stop()

    async def say(self, event: Event, *, id: str, source: str, cause: Cause | None) -> None:  # noqa: A002 - CloudEvents' word
        """See `Way`; TopicMissing where the event's topic does not exist."""
        record = encode(event, id=id, source=source, time=datetime.now(UTC), cause=cause)
        try:
            await self._producer.send([record])
        except KafkaError as error:
            raise self.away(error) from error
        except Refused as refused:
            if isinstance(refused.errors[id], UnknownTopicOrPartitionError):
                raise TopicMissing(event.topic.name) from refused
            raise

    async def chain(
        self, correlation_id: str, kinds: Sequence[type[Event]], *, begins: bool = False
    ) -> AsyncGenerator[list[Received[Any]], None]:
        """See `Way`."""
        try:
            async with Reader(self._settings, [each.topic.name for each in kinds]) as reader:
                if begins:
                    reader.skip_to_end()
                yield _of(correlation_id, [record async for record in reader.past()])
                async with aclosing(reader.coming()) as coming:
                    async for record in coming:
                        yield _of(correlation_id, [record])
        except KafkaError as error:
            raise self.away(error) from error

    async def past(self, correlation_id: str, kinds: Sequence[type[Event]]) -> list[Received[Any]]:
        """See `Way`."""
        try:
            async with Reader(self._settings, [each.topic.name for each in kinds]) as reader:
                return _of(correlation_id, [record async for record in reader.past()])
        except KafkaError as error:
            raise self.away(error) from error

    def away(self, error: BaseException) -> Unreachable:
        """See `Way`."""
        return unreachable(self._settings, error)


def unreachable(settings: KafkaSettings, error: BaseException) -> Unreachable:
    """The error of a Kafka that does not answer."""
    return Unreachable(
        f"Kafka does not answer at {settings.kafka} ({type(error).__name__}); "
        "set SO1S_KAFKA, or start a platform with `make up`; `so1s doctor` looks closer"
    )


def _of(chain: str, records: list[ConsumerRecord]) -> list[Received[Any]]:
    received = [decoded(record) for record in records if correlation_id(record) == chain]
    return [each for each in received if each]

"""Reading topics without a consumer group: looking at events changes nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from so1s.broker.connection import client_options, closed
from so1s.errors import InvalidInput
from so1s.events.codec import decode
from so1s.events.envelope import Received
from so1s.events.event import Event, catalogue
from so1s.settings import KafkaSettings

_POLL_MS = 500


class Reader:
    """Reads topics from their beginning or from a time on; an async context manager.

    Topics that do not exist have no records.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Iterable[str], *, since: datetime | None = None
    ) -> None:
        """Make a reader.

        Args:
            settings: how to reach Kafka.
            topics: their names.
            since: skip what Kafka got before; None reads all that it keeps.
        """
        self._settings = settings
        self._topics = set(topics)
        self._since = since
        self._consumer = AIOKafkaConsumer(
            **client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._ends: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            KafkaError: no broker answers.
        """
        try:
            await self._consumer.start()
            await self._assign()
        except BaseException:
            await closed(self._consumer.stop())
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        await closed(self._consumer.stop())

    async def past(self) -> AsyncGenerator[ConsumerRecord, None]:
        """All that was there when it connected; in order within a partition, not across partitions."""
        while not await self._reached_ends():
            for record in await self._poll():
                yield record

    async def coming(self) -> AsyncGenerator[ConsumerRecord, None]:
        """What comes from here on, without end."""
        while self._assigned:
            for record in await self._poll():
                yield record

    def skip_to_end(self) -> None:
        """Leave out all that was there when it connected; called before anything is read."""
        for partition, end in self._ends.items():
            self._consumer.seek(partition, end)

    @property
    def _assigned(self) -> bool:
        return bool(self._consumer.assignment())

    async def _assign(self) -> None:
        partitions = await partitions_of(self._settings, self._topics)
        if not partitions:
            return
        hold(self._consumer, partitions)
        self._ends = await self._consumer.end_offsets(partitions)
        for partition, offset in (await self._starts(partitions)).items():
            self._consumer.seek(partition, offset)
        self._consumer.resume(*partitions)

    async def _starts(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if not self._since:
            return await self._consumer.beginning_offsets(partitions)
        milliseconds = int(self._since.timestamp() * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
        return {each: at.offset if (at := found.get(each)) else self._ends[each] for each in partitions}

    async def _reached_ends(self) -> bool:
        for partition, end in self._ends.items():
            if await self._consumer.position(partition) < end:
                return False
        return True

    async def _poll(self) -> list[ConsumerRecord]:
        batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
        return [record for batch in batches.values() for record in batch]


def hold(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
    """Assign partitions without fetching them yet, which `consumer.resume` begins.

    Questions about offsets are answered at once so: one behind a fetch waits until Kafka has found
    something for that, and one about a topic that is not assigned waits for the next try.
    """
    consumer.assign(partitions)
    consumer.pause(*partitions)


async def partitions_of(settings: KafkaSettings, topics: Container[str]) -> list[TopicPartition]:
    """The partitions of those topics that exist.

    Raises:
        KafkaError: no broker answers.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        described = await admin.describe_topics()
    finally:
        await closed(admin.close())
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        if topic["topic"] in topics
        for partition in topic["partitions"]
    ]


def decoded(record: ConsumerRecord) -> Received[Any] | None:
    """The event of a record; None where its type is not known here, or it breaks the type's rules.

    Where its producer did not say when it happened, Kafka's time of the record stands for it.
    """
    try:
        received = decode(_class_of(record), record.headers, record.value)
    except InvalidInput:
        return None
    return (
        received
        if received.time
        else replace(received, time=datetime.fromtimestamp(record.timestamp / 1000, UTC))
    )


def correlation_id(record: ConsumerRecord) -> str:
    """The id of the first event of a record's chain; empty where the record is no event."""
    headers = dict(record.headers)
    found = headers.get("ce_correlationid") or headers.get("ce_id")
    if found:
        return found.decode(errors="replace")
    structured = decoded(record)
    return structured.correlation_id if structured else ""


def _class_of(record: ConsumerRecord) -> type[Event]:
    for event_class in catalogue().values():
        if event_class.topic.name == record.topic:
            return event_class
    raise InvalidInput.of("topic", record.topic, "allowed: the topic of a known event")

"""Reading topics without a consumer group: looking at events changes nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container, Iterable
from datetime import datetime
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
        self._consumer = AIOKafkaConsumer(**client_options(settings), enable_auto_commit=False)

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
        """All that is there by now; in order within a partition, not across partitions."""
        ends = await self._ends()
        while not await self._reached(ends):
            for record in await self._poll():
                yield record

    async def coming(self) -> AsyncGenerator[ConsumerRecord, None]:
        """What comes from here on, without end."""
        while self._assigned:
            for record in await self._poll():
                yield record

    async def skip_to_end(self) -> None:
        """Leave out all that is there by now."""
        for partition, end in (await self._ends()).items():
            self._consumer.seek(partition, end)

    @property
    def _assigned(self) -> bool:
        return bool(self._consumer.assignment())

    async def _assign(self) -> None:
        partitions = await partitions_of(self._settings, self._topics)
        if not partitions:
            return
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning()
        if self._since:
            await self._skip(partitions, self._since)

    async def _skip(self, partitions: list[TopicPartition], since: datetime) -> None:
        milliseconds = int(since.timestamp() * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
        ends = await self._consumer.end_offsets(partitions)
        for partition in partitions:
            at = found.get(partition)
            self._consumer.seek(partition, at.offset if at else ends[partition])

    async def _ends(self) -> dict[TopicPartition, int]:
        return await self._consumer.end_offsets(self._consumer.assignment()) if self._assigned else {}

    async def _reached(self, ends: dict[TopicPartition, int]) -> bool:
        for partition, end in ends.items():
            if await self._consumer.position(partition) < end:
                return False
        return True

    async def _poll(self) -> list[ConsumerRecord]:
        batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
        return [record for batch in batches.values() for record in batch]


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
    """The event of a record; None where its type is not known here, or it breaks the type's rules."""
    try:
        return decode(_class_of(record), record.headers, record.value)
    except InvalidInput:
        return None


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

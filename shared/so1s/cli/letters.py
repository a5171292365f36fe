"""Dead letters as they lie on their topics: read, sent back, dropped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from so1s.broker.connection import client_options, closed
from so1s.broker.dead_letters import ADDRESSEE
from so1s.broker.producer import Producer
from so1s.broker.reader import Reader, hold
from so1s.broker.topics import dead_letter_topic
from so1s.errors import InvalidInput, So1sError
from so1s.events.envelope import Record
from so1s.settings import KafkaSettings

_TOLD = "so1s_"
"""What begins the names of the headers that a burial adds."""


@dataclass(frozen=True)
class Letter:
    """An event that a service could not handle."""

    offset: int
    """Its number among the service's letters."""
    origin_topic: str
    origin_partition: int
    origin_offset: int
    reason: str
    error: str
    time: str
    """When it was buried."""
    type: str
    """As its header says; empty where it has none."""
    key: str
    omitted_bytes: int
    """Above 0 where it was too large to be kept: its bytes are at its origin."""
    record: ConsumerRecord

    @property
    def original_headers(self) -> list[tuple[str, bytes | None]]:
        """As they were at its origin."""
        return [(name, value) for name, value in self.record.headers if not name.startswith(_TOLD)]

    @classmethod
    def of(cls, record: ConsumerRecord) -> Letter:
        """Read a record of a dead-letter topic."""
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        return cls(
            offset=record.offset,
            origin_topic=headers.get("so1s_origin_topic", ""),
            origin_partition=int(headers.get("so1s_origin_partition", -1)),
            origin_offset=int(headers.get("so1s_origin_offset", -1)),
            reason=headers.get("so1s_reason", ""),
            error=headers.get("so1s_error", ""),
            time=headers.get("so1s_time", ""),
            type=headers.get("ce_type", ""),
            key=(record.key or b"").decode(errors="replace"),
            omitted_bytes=int(headers.get("so1s_omitted_bytes", 0)),
            record=record,
        )


async def read(settings: KafkaSettings, service: str) -> list[Letter]:
    """A service's letters, the oldest first.

    Raises:
        InvalidInput: no service of that name has dead letters, or ever started.
    """
    topic = dead_letter_topic(service).name
    known = await services(settings)
    if service not in known:
        raise InvalidInput.of("service", service, f"allowed: {', '.join(sorted(known)) or 'none yet'}")
    async with Reader(settings, [topic]) as reader:
        return [Letter.of(record) async for record in reader.past()]


async def services(settings: KafkaSettings) -> dict[str, int]:
    """How many letters each service has."""
    prefix = dead_letter_topic("").name
    consumer = AIOKafkaConsumer(**client_options(settings))
    try:
        await consumer.start()
        topics = sorted(topic for topic in await consumer.topics() if topic.startswith(prefix))
        partitions = [TopicPartition(topic, 0) for topic in topics]
        hold(consumer, partitions)
        begins = await consumer.beginning_offsets(partitions) if partitions else {}
        ends = await consumer.end_offsets(partitions) if partitions else {}
    finally:
        await closed(consumer.stop())
    return {each.topic.removeprefix(prefix): ends[each] - begins[each] for each in partitions}


@dataclass(frozen=True)
class Count:
    """How many letters each service has: those of an account, and those that do not say whose they are."""

    mine: dict[str, int]
    unowned: dict[str, int]


async def of_account(settings: KafkaSettings, account: str) -> Count:
    """Count the letters of an account, as far as their keys or data say whose they are."""
    prefix = dead_letter_topic("").name
    filled = [f"{prefix}{service}" for service, count in (await services(settings)).items() if count]
    async with Reader(settings, filled) as reader:
        owners = [(record.topic.removeprefix(prefix), account_of(record)) async for record in reader.past()]
    return Count(_by_service(owners, account), _by_service(owners, None))


def _by_service(owners: Sequence[tuple[str, str | None]], owner: str | None) -> dict[str, int]:
    return dict(sorted(Counter(service for service, each in owners if each == owner).items()))


def account_of(record: ConsumerRecord) -> str | None:
    """Whose a letter is: as its key begins, or else as its data says; None where neither tells.

    The data of a structured CloudEvent lies within its value. A letter too large to be kept has neither.
    """
    account, slash, _ = (record.key or b"").decode(errors="replace").partition("/")
    if slash:
        return account
    try:
        data = json.loads(record.value or b"null")
    except (ValueError, RecursionError):
        return None
    if isinstance(data, dict) and "specversion" in data:
        data = data.get("data")
    said = data.get("account") if isinstance(data, dict) else None
    return said if isinstance(said, str) else None


def chosen(letters: Sequence[Letter], offsets: Sequence[int]) -> list[Letter]:
    """The letters of some numbers; all where none is given.

    Raises:
        InvalidInput: there is no letter of a number.
    """
    by_offset = {letter.offset: letter for letter in letters}
    for offset in offsets:
        if offset not in by_offset:
            known = ", ".join(map(str, by_offset)) or "none, there is no letter"
            raise InvalidInput.of("number", offset, f"allowed: {known}")
    return [by_offset[offset] for offset in offsets] if offsets else list(letters)


async def send_back(settings: KafkaSettings, service: str, letters: Sequence[Letter]) -> None:
    """Put letters on their origin's topic again, byte for byte, for their service alone.

    Raises:
        So1sError: one was too large to be kept.
    """
    for letter in letters:
        if letter.omitted_bytes:
            place = f"{letter.origin_topic} {letter.origin_partition}/{letter.origin_offset}"
            raise So1sError(f"letter {letter.offset} was too large to be kept; its bytes are at {place}")
    async with Producer(settings) as producer:
        await producer.send([_addressed(letter, service) for letter in letters])


def _addressed(letter: Letter, service: str) -> Record:
    headers = [*letter.original_headers, (ADDRESSEE, service.encode())]
    return Record("", letter.origin_topic, letter.record.key, headers, letter.record.value)


async def drop(settings: KafkaSettings, service: str, *, up_to: int) -> None:
    """Delete a service's letters up to a number, itself included: Kafka deletes from the front."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        partition = TopicPartition(dead_letter_topic(service).name, 0)
        await admin.delete_records({partition: RecordsToDelete(before_offset=up_to + 1)})
    finally:
        await closed(admin.close())

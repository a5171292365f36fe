"""Where a service's consumer group is in a topic, and setting it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from so1s.broker.connection import client_options, closed
from so1s.broker.reader import hold, partitions_of
from so1s.errors import InvalidInput, So1sError
from so1s.events import Event
from so1s.settings import KafkaSettings


class StillRunning(So1sError):
    """A group has members: what is set now they would overwrite."""


@dataclass(frozen=True)
class Rewound:
    """A group that was set back."""

    group: str
    events: int
    """How many records it takes from there to the present end."""


def group_of(service: str, event_class: type[Event]) -> str:
    """The consumer group of a service on an event's topic."""
    return f"{service}.{event_class.topic.name}"


async def rewind(settings: KafkaSettings, service: str, event_class: type[Event], since: datetime) -> Rewound:
    """Set a stopped service back to a time on one topic.

    Raises:
        InvalidInput: the topic does not exist.
        StillRunning: the service runs.
        KafkaError: Kafka does not answer, or refused.
    """
    group = group_of(service, event_class)
    partitions = await partitions_of(settings, [event_class.topic.name])
    if not partitions:
        raise InvalidInput.of(
            "type",
            event_class.__name__,
            f"allowed: one whose topic exists; {event_class.topic.name} does not",
        )
    await _require_stopped(settings, group)
    return Rewound(group, await _commit(settings, group, partitions, since))


async def _require_stopped(settings: KafkaSettings, group: str) -> None:
    members = await members_of(settings, group)
    if members:
        running = f"{members} member" if members == 1 else f"{members} members"
        raise StillRunning(
            f"the consumer group {group} has {running}: stop the service first (a stopped replica "
            "counts for a while, until its session ends)"
        )


async def members_of(settings: KafkaSettings, group: str) -> int:
    """How many members a group has."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        (answer,) = await admin.describe_consumer_groups([group])
    finally:
        await closed(admin.close())
    described = answer.to_object()["groups"][0]
    return len(described["members"])


async def _commit(
    settings: KafkaSettings, group: str, partitions: list[TopicPartition], since: datetime
) -> int:
    consumer = AIOKafkaConsumer(**client_options(settings), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        hold(consumer, partitions)
        ends = await consumer.end_offsets(partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
        starts = {each: at.offset if (at := found.get(each)) else ends[each] for each in partitions}
        await consumer.commit(starts)
    finally:
        await closed(consumer.stop())
    return sum(ends[each] - starts[each] for each in partitions)

"""Dead letters, counted by the offsets of their topics: no letter is read."""

from __future__ import annotations

from collections import Counter

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from so1s.broker.connection import client_options
from so1s.broker.reader import hold
from so1s.broker.topics import dead_letter_topic
from so1s.errors import TemporaryError
from so1s.settings import KafkaSettings

_TOPIC = dead_letter_topic("")
"""Its name is what all of their names begin with."""


class KafkaDeadLetters:
    """The topics `so1s.dlq.SERVICE`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def kept(self) -> dict[str, int]:
        """From the first offset that is still there to the end."""
        consumer = AIOKafkaConsumer(**client_options(self._settings))
        try:
            await consumer.start()
            partitions = await _partitions(consumer)
            hold(consumer, partitions)
            begin = await consumer.beginning_offsets(partitions)
            end = await consumer.end_offsets(partitions)
        except KafkaError as error:
            raise TemporaryError(f"dead letters cannot be counted: {error!r}") from error
        finally:
            await consumer.stop()
        kept: Counter[str] = Counter()
        for partition in partitions:
            kept[partition.topic.removeprefix(_TOPIC.name)] += end[partition] - begin[partition]
        return dict(kept)


async def _partitions(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    topics = [topic for topic in await consumer.topics() if topic.startswith(_TOPIC.name)]
    return [TopicPartition(topic, number) for topic in topics for number in range(_TOPIC.partitions)]

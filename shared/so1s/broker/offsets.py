"""Offsets: Kafka hears behind the handler of what is handled, and at once where nobody else knows it.

An offset that moves later loses nothing: it never passes an event that is not handled, and what comes again
after a crash is known to the inbox. To wait for Kafka after each event takes as long as to handle it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

log = structlog.get_logger()

_BEHIND_SECONDS = 0.1
"""The time between two commits: how much a crash may repeat."""
_LATE_SECONDS = 1.0
"""An event that is handled while a commit takes so long waits for Kafka, or a crash would repeat more."""
_LAST_SECONDS = 2.0
"""How long Kafka may take to hear of the last ones, before a consumer stops or gives partitions away."""


class Offsets:
    """One subscriber's; what FastStream takes for the consumer of its messages."""

    def __init__(self, *, behind: bool) -> None:
        """Make them.

        Args:
            behind: the next event may begin before Kafka has heard of this one.
        """
        self.consumer: AIOKafkaConsumer | None = None
        self._behind = behind
        self._next: dict[TopicPartition, int] = {}
        self._telling = asyncio.Lock()
        self._committing: asyncio.Task[None] | None = None
        self._asked_at: float | None = None

    def handled(self, records: Sequence[ConsumerRecord]) -> None:
        """Remember that the records of some partitions are done, and all before them."""
        self._next |= {TopicPartition(each.topic, each.partition): each.offset + 1 for each in records}

    async def commit(self) -> None:
        """Tell Kafka what is handled, or see to it that it will be told."""
        if not self._behind or self._is_late():
            await self._commit()
        elif self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_behind())

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Let a partition go on from an offset."""
        assert self.consumer
        self.consumer.seek(partition, offset)

    async def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Tell Kafka what is handled, while these partitions are still ours."""
        await self._flush()
        for partition in partitions:
            self._next.pop(partition, None)

    async def stop(self) -> None:
        """Tell Kafka what is handled, and from here on of each event before the next."""
        self._behind = False
        await self._flush()

    def _is_late(self) -> bool:
        return self._asked_at is not None and time.monotonic() - self._asked_at > _LATE_SECONDS

    async def _commit_behind(self) -> None:
        while self._next:
            self._asked_at = time.monotonic()
            try:
                is_heard = await self._commit()
            finally:
                self._asked_at = None
            if not is_heard:
                return  # it is told again with the next event
            await asyncio.sleep(_BEHIND_SECONDS)

    async def _flush(self) -> None:
        if self._committing:
            self._committing.cancel()  # what it did not finish is still known
            await asyncio.wait([self._committing], timeout=_LAST_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._commit()

    async def _commit(self) -> bool:
        """Tell Kafka what is handled; False where it refuses to hear of it."""
        async with self._telling:  # one at a time: aiokafka may try an earlier one again after a later one
            told = self._ours()
            try:
                if told and self.consumer:
                    await self.consumer.commit(told)
            except (CommitFailedError, IllegalStateError):
                pass  # the partitions are another replica's by now: what comes again there is known
            except KafkaError as error:
                log.warning("offsets cannot be committed", reason=f"{type(error).__name__}: {error}")
                return False
            self._next = {each: at for each, at in self._next.items() if told.get(each) != at}
            return True

    def _ours(self) -> dict[TopicPartition, int]:
        """What is handled of partitions that are ours: aiokafka refuses all for one that is not."""
        assigned = self.consumer.assignment() if self.consumer else ()
        self._next = {each: at for each, at in self._next.items() if each in assigned}
        return dict(self._next)

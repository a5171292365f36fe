"""Notifications of a bucket → listings: a notification is a hint, a listing the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.console.domain.drops import Base, notices
from services.console.heard import Heard
from services.console.metrics import NOTIFICATIONS
from so1s.broker.reader import Reader
from so1s.errors import InvalidInput
from so1s.settings import KafkaSettings

log = structlog.get_logger()


@dataclass(frozen=True)
class Notifications:
    """The topic to which a store writes what happens in it."""

    settings: KafkaSettings
    topic: str
    base: Base
    heard: Heard
    """Takes what is told of objects below the base."""
    wake: Callable[[], None]
    """Called where something below the base changed."""

    async def watch(self) -> None:
        """Wake at each notification that comes; returns where the topic is not there.

        It has no group and keeps no offset: what came while nobody read is found by the listing.

        Raises:
            KafkaError: Kafka is away.
        """
        async with Reader(self.settings, [self.topic]) as reader:
            reader.skip_to_end()
            self.wake()
            async for record in reader.coming():
                self.hear(record.value or b"")

    def hear(self, message: bytes) -> None:
        """Take one message, whatever it is."""
        try:
            told = notices(self.base, message)
        except InvalidInput as error:
            NOTIFICATIONS.labels("malformed").inc()
            log.warning("a notification is ignored", topic=self.topic, reason=str(error))
            return
        NOTIFICATIONS.labels("woke" if told else "elsewhere").inc()
        if told:
            self.heard.keep(told)
            self.wake()

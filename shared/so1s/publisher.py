"""Publishers: how a pipeline says events.

    with Publisher() as publisher:
        publisher.publish(WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 1}), id=run_id)

`SO1S_KAFKA` and its kin say where Kafka is; below the directory of a laptop's platform nothing need be said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Self, TypeVar

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from so1s.blocking import LoopThread
from so1s.broker.producer import Producer
from so1s.errors import Refused, So1sError, Unreachable
from so1s.events.codec import encode
from so1s.events.envelope import Cause
from so1s.events.event import Event
from so1s.events.ids import content_id
from so1s.platform import ClientSettings
from so1s.settings import KafkaSettings

SOURCE = "so1s/publisher"
"""Who says an event, where the caller names no other source."""


PATIENCE_SECONDS = 15.0
"""How long Kafka may be away: a broker that restarts is back by then."""
_AGAIN_SECONDS = 0.5
_TRYING = "Kafka does not answer at %s; trying again for %g s"

log = logging.getLogger(__name__)
T = TypeVar("T")


class TopicMissing(So1sError):
    """The topic of an event does not exist."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Kafka has no topic {topic}; a service makes its topics when it starts, and `so1s topics apply` "
            "makes all of them (an operator who forbids that: `so1s topics export`)"
        )


class AsyncPublisher:
    """Publishes events; an async context manager."""

    def __init__(
        self, settings: KafkaSettings | None = None, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Make a publisher.

        Args:
            settings: how to reach Kafka; the environment and the laptop's platform say where it is absent.
            patience_seconds: how long Kafka may be away before that is an error.
        """
        self._settings = settings or ClientSettings.load()
        self._patience_seconds = patience_seconds
        self._producer = Producer(self._settings)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: no broker answers.
        """
        await self._patiently(self._producer.start)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Send what waits, and disconnect."""
        await self._producer.stop()

    async def publish(
        self,
        event: Event,
        *,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        source: str = SOURCE,
        cause: Cause | None = None,
    ) -> str:
        """Publish an event; returns its id when every in-sync broker has it.

        Args:
            event: what is said.
            id: derived from source, type, key and data where it is absent, so that a retry is the same event
                and takes effect once. To say the same again on purpose, give an id of that occasion.
            source: who says it.
            cause: the event that brought it about; without one a chain starts.

        Raises:
            TopicMissing: the event's topic does not exist.
            Refused: Kafka will not have it, such as for want of a permission.
            Unreachable: the brokers do not answer.
            InvalidInput: the event is too large.
        """
        event_id = id or content_id(source, event.type, event.key, event.to_json())
        record = encode(event, id=event_id, source=source, time=datetime.now(UTC), cause=cause)
        try:
            await self._patiently(partial(self._producer.send, [record]))
        except Refused as refused:
            if isinstance(refused.errors[event_id], UnknownTopicOrPartitionError):
                raise TopicMissing(event.topic.name) from refused
            raise
        return event_id

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what Kafka must be there for; where it is away, try again for a while."""
        away: Exception | None = None
        try:
            async with asyncio.timeout(self._patience_seconds):
                while True:
                    try:
                        return await work()
                    except KafkaError as error:
                        if away is None:
                            log.warning(_TRYING, self._settings.kafka, self._patience_seconds)
                        away = error
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError as error:
            raise unreachable(self._settings, away or error) from error


class Publisher:
    """Publishes events; a context manager. For code without an event loop, and for notebooks."""

    def __init__(
        self, settings: KafkaSettings | None = None, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Make a publisher; see `AsyncPublisher`."""
        self._publisher = AsyncPublisher(settings, patience_seconds=patience_seconds)
        self._thread = LoopThread()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: no broker answers.
        """
        with ExitStack() as stack:
            stack.enter_context(self._thread)
            self._thread.run(self._publisher.__aenter__())
            stack.callback(lambda: self._thread.run(self._publisher.__aexit__()))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        """Send what waits, and disconnect."""
        self._open.close()

    def publish(
        self,
        event: Event,
        *,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        source: str = SOURCE,
        cause: Cause | None = None,
    ) -> str:
        """Publish an event; see `AsyncPublisher.publish`."""
        return self._thread.run(self._publisher.publish(event, id=id, source=source, cause=cause))


def unreachable(settings: KafkaSettings, error: Exception) -> Unreachable:
    """The error of a Kafka that does not answer."""
    return Unreachable(
        f"Kafka does not answer at {settings.kafka} ({type(error).__name__}); "
        "set SO1S_KAFKA, or start a platform with `make up`; `so1s doctor` looks closer"
    )

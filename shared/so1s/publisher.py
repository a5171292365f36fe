"""Publishers: how a pipeline says events.

    with Publisher() as publisher:
        publisher.publish(WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 1}), id=run_id)

`SO1S_KAFKA` and its kin say where Kafka is; below the directory of a laptop's platform nothing need be said.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from so1s.blocking import LoopThread
from so1s.broker.connection import client_options
from so1s.broker.producer import Producer
from so1s.errors import So1sError, Unreachable
from so1s.events.codec import encode
from so1s.events.envelope import Cause
from so1s.events.event import Event
from so1s.events.ids import content_id
from so1s.platform import ClientSettings
from so1s.settings import KafkaSettings

SOURCE = "so1s/publisher"
"""Who says an event, where the caller names no other source."""


class TopicMissing(So1sError):
    """The topic of an event does not exist."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Kafka has no topic {topic}; a service makes its topics when it starts, and `so1s topics apply` "
            "makes all of them (an operator who forbids that: `so1s topics export`)"
        )


class AsyncPublisher:
    """Publishes events; an async context manager."""

    def __init__(self, settings: KafkaSettings | None = None) -> None:
        """Make a publisher.

        Args:
            settings: how to reach Kafka; the environment and the laptop's platform say where it is absent.
        """
        self._settings = settings or ClientSettings.load()
        self._producer = Producer(self._settings)
        self._topics: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: no broker answers.
        """
        try:
            await self._producer.start()
        except KafkaError as error:
            raise unreachable(self._settings, error) from error
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
            Unreachable: the brokers do not answer.
            InvalidInput: the event is too large.
        """
        await self._require_topic(event.topic.name)
        event_id = id or content_id(source, event.type, event.key, event.to_json())
        record = encode(event, id=event_id, source=source, time=datetime.now(UTC), cause=cause)
        try:
            await self._producer.send([record])
        except KafkaError as error:
            raise unreachable(self._settings, error) from error
        return event_id

    async def _require_topic(self, topic: str) -> None:
        """Ask for topics before sending: a client would wait 40 s for one that is not there."""
        if topic not in self._topics:
            self._topics = await _existing_topics(self._settings)
        if topic not in self._topics:
            raise TopicMissing(topic)


class Publisher:
    """Publishes events; a context manager. For code without an event loop, and for notebooks."""

    def __init__(self, settings: KafkaSettings | None = None) -> None:
        """Make a publisher; see `AsyncPublisher`."""
        self._publisher = AsyncPublisher(settings)
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


async def _existing_topics(settings: KafkaSettings) -> frozenset[str]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        return frozenset(await admin.list_topics())
    except KafkaError as error:
        raise unreachable(settings, error) from error
    finally:
        await admin.close()

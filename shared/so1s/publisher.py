"""Publishers: how a pipeline says events.

    with Publisher() as publisher:
        publisher.publish(WeightsChanged(account="risk", endpoint="fraud", weights={"fraud": 1}), id=run_id)

`SO1S_KAFKA` and its kin say where Kafka is, `SO1S_URL` and `SO1S_TOKEN` where a console is; below the
directory of a laptop's platform, and after `so1s login`, nothing need be said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Self, TypeVar

from so1s.blocking import LoopThread
from so1s.errors import Unreachable
from so1s.events.envelope import Cause, Received
from so1s.events.event import Event
from so1s.events.ids import content_id
from so1s.platform import ClientSettings
from so1s.settings import KafkaSettings
from so1s.ways import way_to

SOURCE = "so1s/publisher"
"""Who says an event, where the caller names no other source."""


PATIENCE_SECONDS = 15.0
"""How long a platform may be away: a broker that restarts is back by then."""
_AGAIN_SECONDS = 0.5
_TRYING = "%s; trying again for %g s"

log = logging.getLogger(__name__)
T = TypeVar("T")


class AsyncPublisher:
    """Publishes events; an async context manager."""

    def __init__(
        self, settings: KafkaSettings | None = None, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Make a publisher.

        Args:
            settings: how to reach the platform; its environment, or the laptop's, says where it is absent.
            patience_seconds: how long the platform may be away before that is an error.

        Raises:
            InvalidInput: a setting is missing or wrong.
        """
        self._way = way_to(settings or ClientSettings.load())
        self._patience_seconds = patience_seconds

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: nobody answers.
            Unauthorized: the token is not valid.
        """
        try:
            await self._patiently(self._way.open)
        except BaseException:
            await self._way.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Send what waits, and disconnect."""
        await self._way.close()

    async def publish(
        self,
        event: Event,
        *,
        id: str | None = None,  # noqa: A002 - CloudEvents' word
        source: str = SOURCE,
        cause: Cause | None = None,
    ) -> str:
        """Publish an event; returns its id when the platform will not lose it.

        Args:
            event: what is said.
            id: derived from source, type, key and data where it is absent, so that a retry is the same event
                and takes effect once. To say the same again on purpose, give an id of that occasion.
            source: who says it.
            cause: the event that brought it about; without one a chain starts.

        Raises:
            TopicMissing: the event's topic does not exist.
            Refused: Kafka will not have it, such as for want of a permission.
            Unauthorized: the token is not valid any more.
            Unreachable: nobody answers.
            InvalidInput: the event is too large, or the token does not allow it.
        """
        event_id = id or content_id(source, event.type, event.key, event.to_json())
        await self._patiently(partial(self._way.say, event, id=event_id, source=source, cause=cause))
        return event_id

    async def past(self, chain: str, kinds: Sequence[type[Event]]) -> list[Received[Any]]:
        """The events of some kinds that happened so far in the chain of this id.

        Raises:
            Unauthorized: the token is not valid any more.
            Unreachable: nobody answers.
        """
        return await self._patiently(partial(self._way.past, chain, kinds))

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what the platform must be there for; where it is away, try again for a while."""
        away: Unreachable | None = None
        try:
            async with asyncio.timeout(self._patience_seconds):
                while True:
                    try:
                        return await work()
                    except Unreachable as error:
                        if away is None:
                            log.warning(_TRYING, str(error).partition(";")[0], self._patience_seconds)
                        away = error
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError as error:
            raise away or self._way.away(error) from error


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

    def past(self, chain: str, kinds: Sequence[type[Event]]) -> list[Received[Any]]:
        """What happened in a chain; see `AsyncPublisher.past`."""
        return self._thread.run(self._publisher.past(chain, kinds))

"""Requests: say an event, and see what the services answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from so1s.cli.reach import NotWithToken, require_kafka
from so1s.errors import So1sError
from so1s.events import Event
from so1s.events.envelope import Received
from so1s.platform import ClientSettings
from so1s.publisher import AsyncPublisher
from so1s.ways import way_to
from so1s.ways.kafka import unreachable

T = TypeVar("T")

SOURCE = "so1s/cli"
_STANDS = "the request stands, and so1s status shows what becomes of it"


_LOOK_SECONDS = 0.5


class NoAnswer(So1sError, TimeoutError):
    """The services did not answer in time; they may do so later."""


class Interrupted(So1sError):
    """A person waits no more; what was requested stands."""


def run(settings: ClientSettings, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that reads Kafka.

    Raises:
        NotWithToken: the settings name a console alone.
        Unreachable: Kafka does not answer.
    """
    try:
        require_kafka(settings)
        return asyncio.run(work)
    except NotWithToken:
        work.close()
        raise
    except KafkaError as error:
        raise unreachable(settings, error) from error


def say(settings: ClientSettings, request: Event) -> str:
    """Publish a request and leave it at that; answers its id."""
    return asyncio.run(_say(settings, request, str(uuid.uuid4())))


def ask(
    settings: ClientSettings,
    request: Event,
    answers: Sequence[type[Event]],
    *,
    timeout_seconds: float,
    last: Callable[[Event], bool] = lambda _: True,
    hear: Callable[[Event], None] = lambda _: None,
    look: Callable[[str], None] | None = None,
) -> list[Event]:
    """Publish a request; returns the events that answered it, up to the last one.

    Args:
        settings: of the platform.
        request: gets an id of this occasion: to ask again is to ask anew.
        answers: the types of events that can answer it.
        timeout_seconds: for the whole of it.
        last: whether an answer is the end of the matter.
        hear: is given each answer that is not the last, as it comes.
        look: is given the request's id every now and then, until the last answer comes.

    Raises:
        NoAnswer: the last one did not come in time.
        Interrupted: a person pressed Ctrl-C; the request is published.
        Unreachable: the platform does not answer.
        TopicMissing: the platform was never started.
    """
    asking = _Asking(settings, request, answers, last, hear, look)
    name = type(request).__name__
    try:
        asyncio.run(asking.until_answered(timeout_seconds))
    except TimeoutError as error:
        so_far = ", ".join(type(each).__name__ for each in asking.seen) or "nothing"
        after = f"and after {timeout_seconds:g} s the answer is {so_far}"
        raise NoAnswer(f"{name} was published, {after}; {_STANDS}") from error
    except KeyboardInterrupt:
        if not asking.is_published:
            raise
        raise Interrupted(f"{name} was published; {_STANDS}") from None
    return asking.seen


@dataclass
class _Asking:
    """A request and what became of it so far; see `ask`."""

    settings: ClientSettings
    request: Event
    answers: Sequence[type[Event]]
    last: Callable[[Event], bool]
    hear: Callable[[Event], None]
    look: Callable[[str], None] | None
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_published: bool = False
    seen: list[Event] = field(default_factory=list)

    async def until_answered(self, timeout_seconds: float) -> None:
        """Publish the request, and collect answers up to the last one."""
        chain = way_to(self.settings).chain(self.event_id, self.answers, begins=True)
        async with asyncio.timeout(timeout_seconds), aclosing(chain) as told:
            await anext(told)
            await _say(self.settings, self.request, self.event_id)
            self.is_published = True
            async with self._looking(), aclosing(_each(told)) as events:
                async for event in events:
                    self.seen.append(event)
                    if self.last(event):
                        return
                    self.hear(event)

    @asynccontextmanager
    async def _looking(self) -> AsyncGenerator[None, None]:
        looks = asyncio.create_task(self._look_again())
        try:
            yield
        finally:
            looks.cancel()
            await asyncio.gather(looks, return_exceptions=True)

    async def _look_again(self) -> None:
        while self.look:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.look, self.event_id)


async def _each(told: AsyncGenerator[list[Received], None]) -> AsyncGenerator[Event, None]:
    """Events one by one, each once."""
    known = set()
    async for batch in told:
        for each in batch:
            if (each.source, each.id) not in known:
                known.add((each.source, each.id))
                yield each.event


async def _say(settings: ClientSettings, request: Event, event_id: str) -> str:
    async with AsyncPublisher(settings) as publisher:
        return await publisher.publish(request, id=event_id, source=SOURCE)

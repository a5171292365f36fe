"""Requests over Kafka: say an event, and see what the services answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from so1s.broker.reader import Reader, decoded
from so1s.errors import So1sError
from so1s.events import Event
from so1s.platform import ClientSettings
from so1s.publisher import AsyncPublisher, unreachable

T = TypeVar("T")

SOURCE = "so1s/cli"


class NoAnswer(So1sError, TimeoutError):
    """The services did not answer in time; they may do so later."""


def run(settings: ClientSettings, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that talks to Kafka.

    Raises:
        Unreachable: Kafka does not answer.
    """
    try:
        return asyncio.run(work)
    except KafkaError as error:
        raise unreachable(settings, error) from error


def say(settings: ClientSettings, request: Event) -> str:
    """Publish a request and leave it at that; answers its id."""
    return run(settings, _say(settings, request))


def ask(
    settings: ClientSettings,
    request: Event,
    answers: Sequence[type[Event]],
    *,
    timeout_seconds: float,
    last: Callable[[Event], bool] = lambda _: True,
    settles: Callable[[Event], bool] = lambda _: False,
) -> list[Event]:
    """Publish a request; returns the events that answered it, up to the last one.

    Args:
        settings: of the platform.
        request: gets an id of this occasion: to ask again is to ask anew.
        answers: the types of events that can answer it.
        timeout_seconds: for the whole of it.
        last: whether an answer is the end of the matter.
        settles: whether an event answers the request although another one caused it.

    Raises:
        NoAnswer: the last one did not come in time.
        Unreachable: Kafka does not answer.
        TopicMissing: the platform was never started.
    """
    answering = _answers(settings, request, answers, settles)
    return run(settings, _until(answering, request, timeout_seconds, last))


async def _say(settings: ClientSettings, request: Event) -> str:
    async with AsyncPublisher(settings) as publisher:
        return await publisher.publish(request, id=str(uuid.uuid4()), source=SOURCE)


async def _until(
    answering: AsyncGenerator[Event, None],
    request: Event,
    timeout_seconds: float,
    last: Callable[[Event], bool],
) -> list[Event]:
    seen: list[Event] = []
    try:
        async with asyncio.timeout(timeout_seconds), aclosing(answering) as events:
            async for event in events:
                seen.append(event)
                if last(event):
                    break
    except TimeoutError as error:
        raise NoAnswer(_silence(request, seen, timeout_seconds)) from error
    return seen


async def _answers(
    settings: ClientSettings,
    request: Event,
    answers: Sequence[type[Event]],
    settles: Callable[[Event], bool],
) -> AsyncGenerator[Event, None]:
    async with Reader(settings, [each.topic.name for each in answers]) as reader:
        await reader.skip_to_end()
        chain = await _say(settings, request)
        async for record in reader.coming():
            received = decoded(record)
            if received and (received.correlation_id == chain or settles(received.event)):
                yield received.event


def _silence(request: Event, seen: list[Event], seconds: float) -> str:
    name = type(request).__name__
    so_far = ", ".join(type(each).__name__ for each in seen) or "nothing"
    return (
        f"{name} was published, and after {seconds:g} s the answer is {so_far}; so1s status shows what is so"
    )

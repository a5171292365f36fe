"""A service that a test plays: it answers each event of a class with events that it caused."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from so1s.broker.reader import Reader, decoded
from so1s.events import Event
from so1s.publisher import AsyncPublisher
from so1s.settings import KafkaSettings


@asynccontextmanager
async def playing(
    settings: KafkaSettings, request: type[Event], answer: Callable[[Event], Iterable[Event]]
) -> AsyncGenerator[None, None]:
    async with Reader(settings, [request.topic.name]) as reader, AsyncPublisher(settings) as publisher:
        reader.skip_to_end()
        task = asyncio.create_task(_play(reader, publisher, answer))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _play(reader: Reader, publisher: AsyncPublisher, answer: Callable) -> None:
    async for record in reader.coming():
        received = decoded(record)
        for event in answer(received.event) if received else []:
            await publisher.publish(event, source="so1s/played", cause=received.cause)

"""A worker at work, and how a test waits for what it does."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from services.builder.worker import Worker

both_databases = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


@asynccontextmanager
async def at_work(worker: Worker):
    task = asyncio.create_task(worker.work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.01)


def kinds(events) -> list[str]:
    return [type(event).__name__ for event in events]

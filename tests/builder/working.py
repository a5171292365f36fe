"""A worker at work, and how a test waits for what it does."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import update

from services.builder.store import builds
from services.builder.worker import Worker
from so1s.store import Store

both_databases = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)


@asynccontextmanager
async def at_work(worker: Worker):
    task = asyncio.create_task(worker.work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.01)


async def hours_pass(store: Store) -> None:
    """Every time that the builds know is a day ago."""
    day, known = 86_400, builds.c
    times = (known.queued_at, known.not_before, known.started_at, known.held_until)
    async with store.transaction() as tx:
        await tx.execute(update(builds).values({each.name: each - day for each in times}))


def kinds(events) -> list[str]:
    return [type(event).__name__ for event in events]

"""What aiokafka does that those who wait for it must not feel."""

import asyncio
from contextlib import suppress

import pytest

from so1s.broker.connection import closed


async def test_a_timeout_that_comes_while_a_client_closes_is_not_lost():
    closing = asyncio.Event()

    async def close():
        closing.set()
        with suppress(asyncio.CancelledError):  # as aiokafka waits for a task of its own that it cancelled
            await asyncio.Event().wait()

    waiting = asyncio.create_task(closed(close()))
    await closing.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_client_that_closes_while_its_user_is_cancelled_already_is_waited_for():
    ended = []

    async def close():
        await asyncio.sleep(0)
        ended.append("closed")

    async def use():
        try:
            await asyncio.Event().wait()
        finally:
            await closed(close())
            ended.append("and its user")

    using = asyncio.create_task(use())
    await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert ended == ["closed", "and its user"]

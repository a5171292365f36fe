"""Ctrl-C and SIGTERM as a cancellation, so that `finally` stops what was started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run work; the first signal cancels it, and what it does to clean up is waited for, whatever comes."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not task.cancelling():  # a second one would cut off what ends the rest
            task.cancel()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)
    return await task

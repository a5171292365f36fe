"""Threads that end when the task that waits for them is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Stopped(Exception):
    """The work was told to end."""


class Stop:
    """Tells a thread to end; the thread asks between two chunks of work."""

    def __init__(self) -> None:
        self._told = threading.Event()

    def tell(self) -> None:
        """Ask the thread to end."""
        self._told.set()

    def check(self) -> None:
        """Raise Stopped if the thread is to end."""
        if self._told.is_set():
            raise Stopped


async def in_thread(work: Callable[Concatenate[Stop, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work(stop, …)` in a thread; when cancelled, tell it to stop and wait until it has ended.

    So the files that it writes may be removed as soon as this returns.
    """
    stop = Stop()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.tell()
        await ended(running)
        raise


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait until a task has ended, however it ends."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # seen: nobody waits for it any more

"""Runs the model in threads of its own, bounded in number and in time, so that health answers meanwhile."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from so1s_runtime.errors import RequestError

T = TypeVar("T")

RETRY_AFTER = ((b"retry-after", b"1"),)


class Slots:
    """Counts the requests in work or waiting; one more than `size` is refused."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._lock = threading.Lock()  # a slot is also freed by the thread that ends a call

    def take(self) -> None:
        """Take one. Raises RequestError (429) if all are taken."""
        with self._lock:
            if self.taken >= self.size:
                message = f"{self.size} requests are in work already; try again later"
                raise RequestError(message, status=429, headers=RETRY_AFTER)
            self.taken += 1

    def free(self, _: object = None) -> None:
        """Give one back."""
        with self._lock:
            self.taken -= 1


class Worker:
    """`threads` threads behind the slots; a call that waits and works longer than `seconds` is given up."""

    def __init__(self, threads: int, slots: Slots, seconds: float) -> None:
        self.slots = slots
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="model")

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Start work that has no slot and no time limit: loading."""
        return self._threads.submit(work, *arguments)

    async def answer(self, body: Callable[[], Awaitable[bytes]], work: Callable[[bytes], bytes]) -> bytes:
        """Take a slot, read the body, and run `work` on it in a thread.

        The slot is held until the thread is done, also when the caller no longer waits, as a running call
        cannot be stopped. Raises RequestError: 429 without a free slot, 504 after the time limit.
        """
        self.slots.take()
        call: Future[bytes] | None = None
        try:
            call = self._threads.submit(work, await body())
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(call)
        except TimeoutError:
            raise RequestError(f"no answer within {self._seconds} s", status=504) from None
        finally:
            self.slots.free() if call is None else call.add_done_callback(self.slots.free)

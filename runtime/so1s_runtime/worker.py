"""Runs the model in threads of its own, bounded in number and in time, so that health answers meanwhile.

The threads take calls from a plain queue. An executor's futures, which threads could wait for as well, would
take longer than a small model does.
"""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

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

    def free(self) -> None:
        """Give one back."""
        with self._lock:
            self.taken -= 1


class Call(Generic[T]):
    """Work on its way to a thread, and the answer on its way back to the event loop."""

    def __init__(self, work: Callable[[], T], ended: Callable[[], None]) -> None:
        """Make a call; `ended` is called by the thread, once the work is done."""
        self._work = work
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._claimed = threading.Lock()
        self.answer: asyncio.Future[T] = self._loop.create_future()

    def claim(self) -> bool:
        """True for the first who asks: the thread that begins the work, or the caller who gives it up."""
        return self._claimed.acquire(blocking=False)

    def run(self) -> None:
        """Do the work, in a thread."""
        result, error = None, None
        try:
            result = self._work()
        except BaseException as raised:  # noqa: BLE001 - foreign code: whatever it raises, the thread lives on
            error = _as_error(raised)
        self._ended()
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            self._loop.call_soon_threadsafe(self._settle, result, error)

    def fail_after(self, seconds: float) -> asyncio.TimerHandle:
        """Answer with a RequestError (504) then."""
        return self._loop.call_later(seconds, self._expire, seconds)

    def _expire(self, seconds: float) -> None:
        self._settle(None, RequestError(f"no answer within {seconds} s", status=504))

    def _settle(self, result: Any, error: Exception | None) -> None:
        if self.answer.done():
            return  # its caller no longer waits
        if error:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)


class Worker:
    """`threads` threads behind the slots; a call that waits and works longer than `seconds` is given up."""

    def __init__(self, threads: int, slots: Slots, seconds: float) -> None:
        self.slots = slots
        self._seconds = seconds
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=_serve, args=(self._calls,), name="model", daemon=True).start()
            weakref.finalize(self, self._calls.put, None)

    async def load(self, work: Callable[[], T]) -> T:
        """Run work that has no slot and no time limit."""
        return await self._put(work, _nothing).answer

    async def answer(self, body: Callable[[], Awaitable[bytes]], work: Callable[[bytes], bytes]) -> bytes:
        """Take a slot, read the body, and run `work` on it in a thread.

        The slot is held until the thread is done, also when the caller no longer waits, as a running call
        cannot be stopped. Raises RequestError: 429 without a free slot, 504 after the time limit.
        """
        self.slots.take()
        try:
            content = await body()
        except BaseException:
            self.slots.free()
            raise
        call = self._put(partial(work, content), self.slots.free)
        limit = call.fail_after(self._seconds)
        try:
            return await call.answer
        finally:
            limit.cancel()
            if call.claim():  # given up before a thread began it
                self.slots.free()

    def _put(self, work: Callable[[], T], ended: Callable[[], None]) -> Call[T]:
        call = Call(work, ended)
        self._calls.put(call)
        return call


def _serve(calls: "SimpleQueue[Call | None]") -> None:
    """Take calls until the worker is gone."""
    while call := calls.get():
        if call.claim():
            call.run()


def _as_error(raised: BaseException) -> Exception:
    """What was raised, as an error that ends neither the server nor its caller's wait: an exit would."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"the model raised {type(raised).__name__}")
    error.__cause__ = raised
    return error


def _nothing() -> None:
    """Nobody counts a load."""

"""The limit on what waits: refusing early is kinder than answering too late."""

import math

from so1s_runtime.errors import RequestError
from so1s_runtime.pace import Pace


def retry_after(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    """The header that tells a caller when to come again."""
    return ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)


class Slots:
    """Counts the requests in work or waiting; refuses one more than `size`, or one that would wait too long.

    `threads` is how many are worked on at once; the wait is what the ones before it take at the model's pace.
    `queued` are those that hold no slot: they are still received, or wait for their turn on the event loop.
    It belongs to the event loop: other threads must not touch it.
    """

    def __init__(self, size: int, threads: int, wait_seconds: float, pace: Pace) -> None:
        self.size = size
        self.taken = 0
        self.queued = 0
        self._threads = threads
        self._wait_seconds = wait_seconds
        self._pace = pace

    def take(self) -> None:
        """Take one. Raises RequestError (429), which tells when to come again."""
        self.check()
        self.taken += 1

    def check(self) -> None:
        """Raises RequestError (429) where none can be taken."""
        if self.taken >= self.size:
            wait = self._wait(self.taken, self._threads)
            raise _refusal(f"{self.size} requests are in work already", wait)
        if self.taken > self._threads:
            self.expect(self.taken, self._threads)

    def expect(self, before: int, at_once: int) -> None:
        """Raises RequestError (429) where one behind `before`, worked on `at_once`, would wait too long."""
        wait = self._wait(before, at_once)
        if wait > self._wait_seconds and before > at_once:
            raise _refusal(f"{before} requests are in work, which take about {wait:.1f} s", wait)

    def _wait(self, before: int, at_once: int) -> float:
        return before * self._pace.seconds / at_once

    def free(self, number: int = 1) -> None:
        """Give some back."""
        self.taken -= number


class Received:
    """Counts what is on its way: bytes of bodies, or messages; refuses more than `most`.

    It bounds memory where who sends slowly holds no slot.
    """

    def __init__(self, most: int) -> None:
        self.number = 0
        self._most = most

    def add(self, number: int) -> None:
        """Count some more. Raises RequestError (429) where there is no room for them."""
        if self.number + number > self._most:
            raise _refusal("too much is being received already", 1)
        self.number += number

    def forget(self, number: int) -> None:
        """Count as many no more."""
        self.number -= number


def _refusal(reason: str, wait: float) -> RequestError:
    return RequestError(f"{reason}; try again later", status=429, headers=retry_after(wait))

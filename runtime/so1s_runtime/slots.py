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
    It belongs to the event loop: other threads must not touch it.
    """

    def __init__(self, size: int, threads: int, wait_seconds: float, pace: Pace) -> None:
        self.size = size
        self.taken = 0
        self._threads = threads
        self._wait_seconds = wait_seconds
        self._pace = pace

    def take(self) -> None:
        """Take one. Raises RequestError (429), which tells when to come again."""
        wait = self.taken * self._pace.seconds / self._threads
        if self.taken >= self.size:
            raise _refusal(f"{self.size} requests are in work already", wait)
        if wait > self._wait_seconds and self.taken > self._threads:
            raise _refusal(f"{self.taken} requests are in work, which take about {wait:.1f} s", wait)
        self.taken += 1

    def free(self, number: int = 1) -> None:
        """Give some back."""
        self.taken -= number


def _refusal(reason: str, wait: float) -> RequestError:
    return RequestError(f"{reason}; try again later", status=429, headers=retry_after(wait))

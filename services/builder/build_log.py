"""Logs of builds: kept in the database while they grow, so that every replica can show every build's.

What is written waits in memory until the worker's next heartbeat stores it, for at most a second: the log of
a build whose worker is killed lacks no more than that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

_TAIL_LINES = 50
_LONGEST_LINE = 2000
_MOST_BYTES = 4 * 1024 * 1024
"""Of one try: a library that says a line for each of its files says a tenth of that."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of a log that follow each other."""

    position: int
    """Of its first line in this try of the build, from 0."""
    lines: tuple[str, ...]


class BuildLog:
    """The lines of one try of a build, each with its time; remembers the last ones."""

    def __init__(self, number: int, try_: int) -> None:
        """Begin a log.

        Args:
            number: of the version's build.
            try_: of that build, from 1.
        """
        self.number = number
        self.try_ = try_
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._waiting: list[str] = []
        self._stored = 0
        self._bytes = 0
        self._left_out = 0

    def write(self, line: str) -> None:
        """Append one line; what is too long, or more than a log holds, is left out."""
        # What no database takes, and no reader expects within a line.
        text = (
            line[:_LONGEST_LINE].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
        )
        for each in text.splitlines() or [""]:
            self.tail.append(each)
            self._append(each)

    def end(self) -> None:
        """Make sure that the last lines are there, however many there were before them."""
        if self._left_out:
            self._waiting.append(
                f"… {self._left_out} lines are left out: the log is too long; the last ones:"
            )
            self._waiting += self.tail
            self._left_out = 0

    @property
    def waiting(self) -> Chunk | None:
        """What is not stored yet."""
        return Chunk(self._stored, tuple(self._waiting)) if self._waiting else None

    def stored(self, chunk: Chunk) -> None:
        """What was waiting is stored now."""
        new = chunk.position + len(chunk.lines) - self._stored
        if new > 0:  # else a later transaction stored more, and was told first
            del self._waiting[:new]
            self._stored += new

    def _append(self, line: str) -> None:
        if self._left_out or self._bytes > _MOST_BYTES:
            self._left_out += 1
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        self._waiting.append(f"{time}Z  {line}")
        self._bytes += len(line.encode())

"""Logs of builds: one file a build, kept and readable while it runs."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

_TAIL_LINES = 50
_LONGEST_LINE = 2000


def path_of(directory: Path, account: str, model: str, version: str, number: int) -> Path:
    """Where the log of a version's `number`-th build is."""
    return directory / account / model / f"{version}.{number}.log"


class BuildLog:
    """Appends lines with their time, and remembers the last ones."""

    def __init__(self, path: Path) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, line: str) -> None:
        """Append one line."""
        assert self._file is not None
        line = line[:_LONGEST_LINE]
        self.tail.append(line)
        time = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        self._file.write(f"{time}Z  {line}\n")

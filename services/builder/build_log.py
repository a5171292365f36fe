"""Logs of builds: one file a build, kept and readable while it runs."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Self

import structlog

log = structlog.get_logger()

_TAIL_LINES = 50
_LONGEST_LINE = 2000


def path_of(directory: Path, account: str, model: str, version: str, number: int) -> Path:
    """Where the log of a version's `number`-th build is."""
    return directory / account / model / f"{version}.{number}.log"


class BuildLog:
    """Appends lines with their time, and remembers the last ones.

    A build ends as it would without its log: where the disk is full, lines are missing from the file alone.
    """

    def __init__(self, path: Path) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._path = path
        self._file: FileIO | None = None
        self._is_whole = True

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self._path, "a")  # unbuffered: no line that failed is left to fail again
        except OSError as error:
            self._warn(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, line: str) -> None:
        """Append one line."""
        line = line[:_LONGEST_LINE]
        self.tail.append(line)
        if self._file is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        try:
            self._file.write(f"{time}Z  {line}\n".encode(errors="replace"))
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        """Once a log: a full disk stays full for a while."""
        if self._is_whole:
            log.warning("the build's log cannot be written", path=str(self._path), error=repr(error))
        self._is_whole = False

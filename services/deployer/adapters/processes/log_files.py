"""Log files of replicas, bounded while they are written."""

from __future__ import annotations

import shutil
from collections import deque
from pathlib import Path


def cut(path: Path, most_bytes: int) -> None:
    """Move a log that has grown too large aside, and go on with an empty one.

    Copied and truncated, since its writer holds it open (for appending, so that it goes on at the
    new end); a line written between the two steps is lost.
    """
    if path.exists() and path.stat().st_size > most_bytes:
        shutil.copyfile(path, _older(path))
        with path.open("r+b") as file:
            file.truncate(0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, newest last."""
    found: deque[str] = deque(maxlen=lines)
    for part in (_older(path), path):
        if part.exists():
            with part.open(encoding="utf-8", errors="replace") as file:
                found.extend(line.rstrip("\n") for line in file)
    return list(found)


def _older(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")

"""How long files of builds are kept: old logs go, and what killed workers left behind."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()

_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes what is too old; several builders of one machine may do so at once."""

    logs: Path
    log_days: int
    """How long a log is kept after its last line."""
    scratch: tuple[tuple[Path, str], ...]
    """Directories and patterns of what only work in progress has; finished work leaves nothing there."""
    scratch_seconds: float
    """Longer than any work: what is older was left behind."""
    now: Callable[[], float] = time.time

    async def prune(self) -> None:
        """Remove what is too old."""
        logs, leftovers = await asyncio.to_thread(self._prune)
        if logs or leftovers:
            log.info("old files were removed", logs=logs, leftovers=leftovers)

    def _prune(self) -> tuple[int, int]:
        logs = _remove(self.logs.glob("*/*/*.log"), before=self.now() - self.log_days * _DAY_SECONDS)
        for directory in [*self.logs.glob("*/*"), *self.logs.glob("*")]:
            with contextlib.suppress(OSError):
                directory.rmdir()  # only where it is empty
        paths = (path for directory, pattern in self.scratch for path in directory.glob(pattern))
        return logs, _remove(paths, before=self.now() - self.scratch_seconds)


def _remove(paths: Iterable[Path], *, before: float) -> int:
    old = [path for path in paths if _is_older(path, before)]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.lstat().st_mtime < before
    except FileNotFoundError:
        return False  # it went meanwhile

"""How long files are kept: libraries go that no build asks for, and what killed workers left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()

_DAY_SECONDS = 86_400
DIGEST = "[0-9a-f]" * 64
REMOVED = "removed-"
"""What the name of a directory begins with that goes."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes what is too old; several builders of one machine may do so at once."""

    libraries: Path
    library_days: int
    """How long libraries are kept after a build asked for them."""
    scratch: tuple[tuple[Path, str], ...]
    """Directories and patterns of what only work in progress has; finished work leaves nothing there."""
    scratch_seconds: float
    """Longer than any work: what is older was left behind."""
    live: Path
    """This builder's own directory, which may look like one that was left behind."""
    now: Callable[[], float] = time.time

    async def prune(self) -> None:
        """Remove what is too old."""
        removed = await asyncio.to_thread(self._prune)
        if any(removed.values()):
            log.info("old files were removed", **removed)

    def _prune(self) -> dict[str, int]:
        now = self.now()
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.live, (now, now))
        scratch = (path for directory, pattern in self.scratch for path in directory.glob(pattern))
        return {
            "libraries": _remove(self.libraries.glob(DIGEST), before=now - self.library_days * _DAY_SECONDS),
            "wheels": _remove(
                self.libraries.glob(f"wheels/{DIGEST}"), before=now - self.library_days * _DAY_SECONDS
            ),
            "locks": _remove(self.libraries.glob("locks/*"), before=now - self.library_days * _DAY_SECONDS),
            "leftovers": _remove(scratch, before=now - self.scratch_seconds),
        }


def _remove(paths: Iterable[Path], *, before: float) -> int:
    old = [path for path in paths if _is_older(path, before)]
    for path in old:
        with contextlib.suppress(FileNotFoundError):  # another builder removes them, too
            if path.is_dir():
                # Renamed first, so that nobody ever finds half of it.
                shutil.rmtree(path.rename(path.with_name(f"{REMOVED}{path.name}")), ignore_errors=True)
            else:
                path.unlink()
    return len(old)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.lstat().st_mtime < before
    except FileNotFoundError:
        return False  # it went meanwhile

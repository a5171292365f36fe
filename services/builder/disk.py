"""The builder's disk: within its budget, and with room again when a build met its end.

Libraries, and layers that belong to no image, can be made anew: they go by last use. What was asked for
within a deadline may be in the hands of a build and stays, so that nobody need know of the others' builds.
Images stay: docs/decisions/0025 says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.builder import metrics
from services.builder.domain.eviction import Kept, by_last_use
from services.builder.ports import Cache
from so1s.errors import TemporaryError

log = structlog.get_logger()

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full")
_ROOM_BYTES = 2 * 2**30
"""What is made free when a disk is full: libraries of one kind, and most models."""
_MIB = 2**20


class NoSpace(TemporaryError):
    """A disk was full in the middle of a step."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The directories of one builder."""

    directories: Sequence[Path]
    """Where it writes."""
    work: Path
    """The one of work in progress, which counts, too."""
    caches: Sequence[Cache]
    budget_bytes: int | None
    """Of what is in the caches and in progress; None for as much as the disk has."""
    in_use_seconds: float
    """How long a build may use what it asked for."""
    now: Callable[[], float] = time.time

    async def keep_budget(self) -> None:
        """Remove what was used least recently until all is within the budget."""
        await asyncio.to_thread(self._keep_budget)

    async def explained(self, error: Exception, step: str | None) -> Exception:
        """An error as it was; but of a full disk one that says so, after room was made."""
        if not is_full(error):
            return error
        fullest, usage = await asyncio.to_thread(self._fullest)
        freed = await asyncio.to_thread(self._make_room)
        return NoSpace(
            f"no space left: step {step} needs more than the {usage.free // _MIB} MiB that are free of "
            f"{usage.total // _MIB} MiB at {fullest} ({error}); {freed // _MIB} MiB of unused libraries and "
            "layers were removed. SO1S_DISK_BUDGET_BYTES keeps room free, SO1S_BUILD_DIR, SO1S_LIBRARIES_DIR "
            "and SO1S_IMAGE_DIR say which disk is used; `uv cache clean` empties the installer's own cache"
        )

    def _keep_budget(self) -> None:
        kept = self._kept()
        used = sum(each.size_bytes for each in kept) + size_of(self.work)
        metrics.DISK_USED.set(used)
        if self.budget_bytes is None or used <= self.budget_bytes:
            return
        before = used
        for each in self._evictable(kept):
            used -= self._evict(each)
            if used <= self.budget_bytes:
                break
        metrics.DISK_USED.set(used)
        told = {"used_bytes": used, "budget_bytes": self.budget_bytes, "removed_bytes": before - used}
        if used > self.budget_bytes:
            log.warning("the disk is over its budget, and all that is left of it is in use", **told)
        else:
            log.info("what was used least recently made room", **told)

    def _make_room(self) -> int:
        freed = 0
        for each in self._evictable(self._kept()):
            if self._fullest()[1].free >= _ROOM_BYTES:
                break
            freed += self._evict(each)
        return freed

    def _kept(self) -> list[Kept]:
        return [each for cache in self.caches for each in cache.kept()]

    def _evictable(self, kept: list[Kept]) -> Iterator[Kept]:
        return by_last_use(kept, used_before=self.now() - self.in_use_seconds)

    def _evict(self, kept: Kept) -> int:
        """The bytes that are free now; 0 where a build asked for it meanwhile."""
        used_before = self.now() - self.in_use_seconds
        if not any(cache.remove(kept, used_before=used_before) for cache in self.caches):
            return 0
        metrics.EVICTED_BYTES.inc(kept.size_bytes)
        return kept.size_bytes

    def _fullest(self) -> tuple[Path, shutil._ntuple_diskusage]:
        there = [each for each in self.directories if each.exists()]
        return min(((each, shutil.disk_usage(each)) for each in there), key=lambda found: found[1].free)


def is_full(error: BaseException | None) -> bool:
    """Whether a disk without room is behind an error, in whoever's words."""
    while error:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if isinstance(error, TemporaryError) and any(words in str(error) for words in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def size_of(directory: Path) -> int:
    """The bytes that all below a directory take on its disk; what goes meanwhile counts or does not."""
    taken: dict[tuple[int, int], int] = {}  # a file with several names takes its room once
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            with contextlib.suppress(FileNotFoundError):
                found = Path(parent, name).lstat()
                taken[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(taken.values())

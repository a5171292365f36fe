"""The builder's disk: within its budget, and with room again when a build met its end.

Libraries, layers that belong to no image, and wheels that uv keeps, can be made anew: they go by last use.
What was asked for within a deadline may be in the hands of a build and stays, so that nobody need know of the
others' builds. Images stay: docs/decisions/0025 says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import shutil
import time
from collections.abc import Callable, Container, Sequence
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
            "layers were removed. SO1S_DISK_BUDGET_BYTES keeps room free; SO1S_BUILD_DIR, SO1S_IMAGE_DIR, "
            "SO1S_LIBRARIES_DIR and UV_CACHE_DIR say which disk is used"
        )

    def _keep_budget(self) -> None:
        budget = self.budget_bytes
        before, used = self._evict_until(self._used, math.inf if budget is None else budget)
        removed = max(0, before - used)
        metrics.DISK_USED.set(used)
        metrics.EVICTED_BYTES.inc(removed)
        told = {"used_bytes": used, "budget_bytes": budget, "removed_bytes": removed}
        if budget is not None and used > budget:
            log.warning("the disk is over its budget, and all that is left of it is in use", **told)
        elif removed:
            log.info("what was used least recently made room", **told)

    def _make_room(self) -> int:
        """The bytes that are free now, and were not before."""
        fullest, _ = self._fullest()
        before, after = self._evict_until(
            lambda _kept: -shutil.disk_usage(fullest).free, -_ROOM_BYTES, on_disk_of=fullest
        )
        freed = max(0, before - after)
        metrics.EVICTED_BYTES.inc(freed)
        return freed

    def _evict_until(
        self, measure: Callable[[list[Kept]], int], most: float, on_disk_of: Path | None = None
    ) -> tuple[int, int]:
        """Remove what was used least recently until a measure is small enough; what it was, and what it is.

        All is looked at anew each time: a set of libraries that goes leaves its wheels to go. What lies on
        another disk than `on_disk_of` stays, as it would make no room there.
        """
        stays = set[Path]()
        before = now = measure(kept := self._kept())
        while now > most and (each := self._next(_on_disk(kept, on_disk_of), stays)):
            if not self._evict(each):
                stays.add(each.path)
            now = measure(kept := self._kept())
        return before, now

    def _next(self, kept: list[Kept], stays: Container[Path]) -> Kept | None:
        """What goes next; nothing that a build may have in hand, or that could not be removed."""
        evictable = by_last_use(kept, used_before=self.now() - self.in_use_seconds)
        return next((each for each in evictable if each.path not in stays), None)

    def _used(self, kept: list[Kept]) -> int:
        return sum(each.size_bytes for each in kept) + size_of(self.work)

    def _kept(self) -> list[Kept]:
        return [each for cache in self.caches for each in cache.kept()]

    def _evict(self, kept: Kept) -> bool:
        """Remove something; False where a build asked for it meanwhile."""
        used_before = self.now() - self.in_use_seconds
        return any(cache.remove(kept, used_before=used_before) for cache in self.caches)

    def _fullest(self) -> tuple[Path, shutil._ntuple_diskusage]:
        there = [each for each in self.directories if each.exists()]
        return min(((each, shutil.disk_usage(each)) for each in there), key=lambda found: found[1].free)


def _on_disk(kept: list[Kept], path: Path | None) -> list[Kept]:
    if path is None:
        return kept
    device = path.stat().st_dev
    return [each for each in kept if each.path.exists() and each.path.stat().st_dev == device]


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

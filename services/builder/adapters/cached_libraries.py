"""Sets of libraries, as `UvDependencies` keeps them: a directory each, whose time is that of its last use."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from services.builder.disk import size_of
from services.builder.domain.eviction import Kept
from services.builder.retention import DIGEST, REMOVED


class CachedLibraries:
    """See `ports.Cache`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._sizes: dict[tuple[str, float], int] = {}
        """By name and the time at which it was packed: ten thousand files each, which never change."""

    def kept(self) -> Iterator[Kept]:
        """See `ports.Cache`. One that is being installed is not told of."""
        known, self._sizes = self._sizes, {}
        for home in self._directory.glob(DIGEST):
            with contextlib.suppress(FileNotFoundError):  # another builder removed it
                made_at = _made_at(home)
                size = known.get((home.name, made_at)) or size_of(home)
                self._sizes[home.name, made_at] = size
                yield Kept(home, size, home.stat().st_mtime)

    def remove(self, kept: Kept, *, used_before: float) -> bool:
        """See `ports.Cache`."""
        if kept.path.parent != self._directory:
            return False
        with contextlib.suppress(FileNotFoundError):
            if kept.path.stat().st_mtime < used_before:
                # Renamed first, so that nobody ever finds half of it.
                gone = kept.path.rename(kept.path.with_name(f"{REMOVED}{kept.path.name}"))
                shutil.rmtree(gone, ignore_errors=True)
                return True
        return False


def _made_at(home: Path) -> float:
    """When libraries were packed; of those that no image holds, when they were last asked for."""
    layer = home / "layer.json"
    return (layer if layer.exists() else home / "installed").stat().st_mtime

"""Wheels that uv's cache alone holds: libraries are hard links to those that they were installed from.

While a set is there, its wheels in the cache take no room; once it went, they take all that it took.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import structlog
import uv

from services.builder.adapters.uv_environment import uv_directory, uv_environment
from services.builder.disk import size_of
from services.builder.domain.eviction import Kept

log = structlog.get_logger()

_LOCK_SECONDS = 10
"""How long uv waits for those of its kind that install: a minute later there is another try."""
_WHEELS = "archive-v*/*/*.dist-info/METADATA"
"""Of which an installation is always a link, unlike RECORD."""
_DESCRIBED = re.compile(r"(?P<package>[A-Za-z0-9]([A-Za-z0-9._]*[A-Za-z0-9])?)-[^-]+\.dist-info")


class CachedWheels:
    """See `ports.Cache`: one thing, which no build has in hand, as uv takes what it misses from the index."""

    def __init__(self, directory: Path) -> None:
        """Look after a cache of uv's."""
        self._directory = directory
        self._sizes: dict[Path, int] = {}
        """Of unpacked wheels, which never change."""

    def kept(self) -> Iterator[Kept]:
        """See `ports.Cache`."""
        wheels = {metadata.parents[1] for metadata in self._alone()}
        self._sizes = {wheel: self._sizes.get(wheel) or size_of(wheel) for wheel in wheels}
        if wheels:
            yield Kept(self._directory, sum(self._sizes.values()), used_at=0)

    def remove(self, kept: Kept, *, used_before: float) -> bool:
        """See `ports.Cache`. False where uv's cache is in use, too."""
        del used_before
        if kept.path != self._directory:
            return False
        before = self._taken()  # another builder may have emptied it since `kept` was told
        described = (_DESCRIBED.fullmatch(metadata.parent.name) for metadata in self._alone())
        self._clean(sorted({each["package"] for each in described if each}))
        return self._taken() < before

    def _taken(self) -> int:
        return sum(each.size_bytes for each in self.kept())

    def _alone(self) -> Iterator[Path]:
        for metadata in self._directory.glob(_WHEELS):
            try:
                if metadata.lstat().st_nlink == 1:
                    yield metadata
            except FileNotFoundError:  # uv removed it
                continue

    def _clean(self, packages: list[str]) -> None:
        """Let uv remove packages, under the lock of its cache."""
        if not packages:
            return
        command = [uv.find_uv_bin(), "cache", "clean", "--cache-dir", str(self._directory), "--", *packages]
        environment = {"UV_LOCK_TIMEOUT": str(_LOCK_SECONDS), **uv_environment()}
        with uv_directory(None, "so1s-") as empty:
            done = subprocess.run(  # noqa: S603 - ours
                command, env=environment, cwd=empty, capture_output=True, text=True, check=False
            )
        if done.returncode:
            log.warning("uv's cache cannot be emptied now", reason=done.stderr.strip()[-500:])

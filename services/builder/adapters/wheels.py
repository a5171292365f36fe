"""Wheels of packages that no index has as wheels: from a URL, or built from source.

KEY/NAME.whl     made once; a wheel from a URL is as it was there
KEY/installed    it is whole
KEY.lock         held while one builder makes it; the others wait
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from filelock import AsyncFileLock

from services.builder.adapters.inspection.fetching import REFUSED
from services.builder.adapters.source_builder import Source, SourceBuilder
from services.builder.adapters.uv_command import Uv, heard, last_words
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Origin
from services.builder.ports import Log
from so1s.errors import TemporaryError

_RECIPE = "2"
"""Part of each key: a new number makes anew."""
_MOST_BYTES = 4 * 2**30
NO_SANDBOX = (
    "it would be built from source, which runs its author's code, in a sandbox alone, and none works in the "
    "builder: its operator may install bubblewrap"
)


class Wheels:
    """Makes wheels, and keeps them on this machine."""

    def __init__(self, directory: Path, platform: str, uv: Uv, builder: SourceBuilder | None) -> None:
        """Make a store.

        Args:
            directory: of the wheels.
            platform: that they are for, as images declare it.
            uv: fetches.
            builder: builds from source; None where nothing is.
        """
        self._directory = directory
        self._platform = platform
        self._uv = uv
        self._builder = builder

    async def take(self, asked: Origin, allowed: Collection[str] | None, log: Log) -> tuple[Origin, Path]:
        """A package with the hash of its file and with what builds it today; and its wheel.

        Args:
            asked: what is taken, without a hash where nobody says it.
            allowed: the sha256 that its file may have, as the upload's author says; None for any.
            log: of the build.

        Raises:
            BuildError: it cannot be had, or cannot be built.
            TemporaryError: its host does not answer.
        """
        with self._fetching() as directory:
            file, sha256 = await self._fetch(asked, directory, log)
            if allowed is not None and sha256 not in allowed:
                message = f"{asked.pin} has no file with a hash that the requirements allow"
                raise BuildError("dependencies", message)
            found = replace(asked, sha256=sha256)
            if not found.is_built:
                return found, await self._made(found, file, log)
            builder = self.require_builder(found.pin)
            source = builder.source(file, found.pin, log)
            found = replace(found, tools=await builder.lock_tools(source))
            return found, await self._made(found, file, log, source)

    async def of(self, origin: Origin, log: Log) -> Path:
        """The wheel of a package, as a lock has it.

        Raises:
            BuildError: it cannot be had any more, or cannot be built.
            TemporaryError: its host does not answer.
        """
        if wheel := _present(self._home(origin)):
            return wheel
        with self._fetching() as directory:
            file, _sha256 = await self._fetch(origin, directory, log)
            return await self._made(origin, file, log)

    def require_builder(self, what: str) -> SourceBuilder:
        """What builds from source. Raises BuildError for a package where nothing does."""
        if self._builder is None:
            raise BuildError("dependencies", f"{what}: {NO_SANDBOX}")
        return self._builder

    async def _made(self, origin: Origin, file: Path, log: Log, source: Source | None = None) -> Path:
        home = self._home(origin)
        async with AsyncFileLock(home.with_suffix(".lock"), poll_interval=0.1):
            if wheel := _present(home):
                return wheel
            if not origin.is_built:
                return await asyncio.to_thread(_settle, file, home)
            log(f"building {origin.pin} from source")
            builder = self.require_builder(origin.pin)
            with self._fetching() as scratch:  # where what fails leaves nothing
                source = source or builder.source(file, origin.pin, log)
                made = await builder.build(source, origin.tools, scratch)
                return await asyncio.to_thread(_settle, made, home)

    def _fetching(self) -> AbstractContextManager[Path]:
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._uv.directory(self._directory, prefix="fetching-")

    async def _fetch(self, origin: Origin, directory: Path, log: Log) -> tuple[Path, str]:
        """Its file, and the sha256 of that, which is the one that it must have."""
        log(f"fetching {origin.place}")
        file = directory / origin.file_name
        said = last_words()
        code = await self._uv.fetch(
            origin.url, file, of_index=origin.of_index, most_bytes=_MOST_BYTES, on_line=heard(said, log)
        )
        if code:
            problem = f"{origin.pin} cannot be had from {origin.place}"
            reason = next(filter(str.strip, reversed(said)), "nothing was said").strip()
            if code == REFUSED:
                raise BuildError("dependencies", f"{problem}: {reason}")
            raise TemporaryError(f"{problem} now: {reason}")
        sha256 = await asyncio.to_thread(_sha256, file)
        if origin.sha256 not in {"", sha256}:
            message = f"{origin.pin}: {origin.place} has the sha256 {sha256}; allowed: {origin.sha256}"
            raise BuildError("dependencies", message)
        return file, sha256

    def _home(self, origin: Origin) -> Path:
        """Where its wheel is: the same bytes may be a wheel by one name, and a source by another."""
        parts = [_RECIPE, self._platform, origin.pin, origin.sha256, origin.file_name]
        if origin.is_built:
            glibc = self._builder.glibc if self._builder else None
            parts += ["built", glibc or "", origin.tools]
        return self._directory / hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _present(home: Path) -> Path | None:
    try:
        os.utime(home / "installed")
        os.utime(home)  # asked for: what nobody asks for is removed by and by
        return next(home.glob("*.whl"), None)
    except FileNotFoundError:
        return None


def _settle(wheel: Path, home: Path) -> Path:
    """Put a wheel in its place; whoever finds it finds all of it."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    place = Path(shutil.move(wheel, home / wheel.name))
    (home / "installed").touch()
    return place


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

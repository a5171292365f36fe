"""Requirements to a lock, by uv, and once: what was resolved is kept and given again.

A lock lies under the hash of all that it was resolved from but the index, whose content changes by the hour.
So a build that is tried again, and another model with the same requirements, have the same libraries.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from filelock import AsyncFileLock

from services.builder.adapters.resolution import Resolution, Wanted
from services.builder.adapters.uv_command import Uv, compiling
from services.builder.adapters.wheels import Wheels
from services.builder.domain.lock import Lock, Origin
from services.builder.ports import Log

_RECIPE = "1"
"""Part of each key: a new number resolves anew."""


class UvLocker:
    """Resolves with `uv pip compile`, which builds nothing: a source distribution would run code here.

    A package without a wheel that may be built has one made elsewhere, and is resolved with that.
    """

    def __init__(
        self,
        directory: Path,
        platform: str,
        uv: Uv,
        wheels: Wheels,
        *,
        python: Path,
        target: Sequence[str],
    ) -> None:
        """Make a locker.

        Args:
            directory: of the locks, on this machine.
            platform: that the libraries run on, as images declare it.
            uv: how it is run.
            wheels: makes those of packages from URLs and from source.
            python: an interpreter, whose wheels are taken where `target` is empty.
            target: uv's options that say whose wheels are taken else.
        """
        self._directory = directory
        self._platform = platform
        self._uv = uv
        self._wheels = wheels
        self._python = python
        self._target = (*target,)
        self._whose = self._target or ("--python", str(python))

    async def lock(self, wanted: Wanted, log: Log, *, builds: bool = False) -> Lock:
        """What gives an image all that its model's author and its server ask for.

        Args:
            wanted: what they ask for.
            log: has uv's own words.
            builds: whether packages without a wheel are built from source.

        Raises:
            BuildError: there is no such set of libraries.
            TemporaryError: the index does not answer.
        """
        key = self._key(wanted)
        # Apart, so that nobody has packages built because somebody else may.
        kept, built = (self._directory / f"{name}.txt" for name in (key, f"{key}-built"))
        self._directory.mkdir(parents=True, exist_ok=True)
        async with AsyncFileLock(kept.with_suffix(".lock"), poll_interval=0.1):
            present = next((each for each in (kept, *([built] if builds else [])) if each.exists()), None)
            if present:
                log(f"{wanted.name}: resolved before, and the same again")
            else:
                lock = await self._resolve(wanted, log, builds=builds)
                present = built if any(each.is_built for each in lock.origins) else kept
                _write(lock, present)
        os.utime(present)  # asked for: what nobody asks for is removed by and by
        return Lock(wanted.name, present.read_text(), wanted.torch_index)

    def _key(self, wanted: Wanted) -> str:
        asked = wanted.asked
        hashes = [f"{name} {sorted(each)}" for name, each in sorted(asked.hashes.items())]
        packages = [*asked.packages, *map(str, asked.directs)]
        parts = [_RECIPE, self._platform, *self._whose, *packages, *hashes, *wanted.needs]
        parts += [wanted.base.sha256, *([wanted.torch_index] if wanted.torch_index else [])]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def _resolve(self, wanted: Wanted, log: Log, *, builds: bool) -> Lock:
        with self._uv.directory(self._directory, prefix="resolving-") as directory:
            resolution = Resolution(self._uv, self._command, directory, wanted)
            for each in wanted.asked.directs:
                await self._make(resolution, Origin(each.name, each.version, each.url), log)
            while missing := await resolution.run(log):
                if not builds:
                    raise resolution.error(missing)
                self._wheels.require_builder(", ".join(missing))
                for each in await resolution.sources(missing, log):
                    await self._make(resolution, each, log)
            return resolution.lock()

    async def _make(self, resolution: Resolution, origin: Origin, log: Log) -> None:
        allowed = resolution.wanted.asked.hashes.get(origin.name)
        found, wheel = await self._wheels.take(origin, allowed, log)
        await asyncio.to_thread(resolution.add, found, wheel)

    def _command(self, *options: str) -> list[str]:
        return [*compiling(self._python), *self._target, *options]


def _write(lock: Lock, kept: Path) -> None:
    new = kept.with_suffix(".new")
    new.write_text(lock.text)
    new.replace(kept)

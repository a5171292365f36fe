"""Makes the images of services, without Docker: the base, the locked libraries, the code, a layer each."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Self

from filelock import FileLock

from deploy.images import sources
from deploy.images.foundation import Foundation, referenced
from deploy.images.libraries import install
from deploy.images.recipe import CODE_ROOT, configuration
from services.builder.adapters.images_layout import LayoutImages
from services.builder.bytecode import compile_tree
from services.builder.domain.image import DEPENDENCIES_ROOT, Layer
from services.builder.layers import pack
from services.builder.stop import in_thread

_RECIPE = "1"
"""Part of each key: a new number packs anew when the way of packing changes."""


@dataclass(frozen=True)
class Made:
    """An image that was made."""

    name: str
    digest: str
    size_bytes: int
    """As it is pulled, the base included."""
    seconds: float
    cached: bool
    """Whether its libraries had been packed before."""


class Workshop:
    """A directory that keeps what was made; a context manager.

    DIRECTORY/layout             the images, as an OCI image layout
    DIRECTORY/libraries/KEY      which layer there has a set of libraries
    """

    def __init__(self, directory: Path, base: Path) -> None:
        """Use a directory.

        Args:
            directory: what is there is used again.
            base: the OCI image layout of what all images stand on.
        """
        self.layout = directory / "layout"
        self._directory = directory
        self._foundation = Foundation(base)
        self._base = self._foundation.image
        self._images = LayoutImages(self.layout)
        self._lock = FileLock(directory / "lock")

    def __enter__(self) -> Self:
        """Begin to work, once nobody else does; what no image needs any more is removed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._tidy()
        self._temporary = tempfile.TemporaryDirectory(dir=self._directory, prefix="making-")
        return self

    def __exit__(self, *_error: object) -> None:
        """Clean up."""
        self._temporary.cleanup()
        self._lock.release()

    async def make(self, name: str, tag: str) -> Made:
        """Make the image of a service, and name it `NAME:TAG` in the layout.

        Raises:
            subprocess.CalledProcessError: uv refuses; it has printed why.
        """
        began = time.monotonic()
        await self._take_base()
        locked = await asyncio.to_thread(sources.locked, name)
        record = self._directory / "libraries" / self._key(locked.requirements)
        kept = await self._kept(record)
        libraries = kept or await self._pack_libraries(locked.requirements, record)
        code = self._work / f"{name}-code"
        await asyncio.to_thread(sources.copy_code, name, locked.members, code)
        layers = [libraries, await self._pack(code, CODE_ROOT)]
        config = configuration(sources.describe(name), self._base, layers)
        image = await self._images.publish(f"{name}:{tag}", config, [*self._base.layers, *layers])
        seconds = time.monotonic() - began
        return Made(name, image.digest, image.size_bytes, seconds, cached=kept is not None)

    def _tidy(self) -> None:
        for left in self._directory.glob("making-*"):  # of a run that was killed
            shutil.rmtree(left)
        needed = referenced(self.layout)
        for blob in self.layout.glob("blobs/sha256/*"):
            if f"sha256:{blob.name}" not in needed:
                blob.unlink()

    @property
    def _work(self) -> Path:
        return Path(self._temporary.name)

    @cached_property
    def _python(self) -> Path:
        return self._foundation.interpreter(self._work)

    def _key(self, requirements: str) -> str:
        parts = (_RECIPE, self._foundation.digest, requirements)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def _kept(self, record: Path) -> Layer | None:
        layer = await asyncio.to_thread(_recorded, record)
        return layer if layer and await self._images.has(layer) else None

    async def _take_base(self) -> None:
        for layer in self._base.layers:
            if not await self._images.has(layer):
                copied = shutil.copyfile(self._foundation.blob(layer.digest), self._work / "base")
                await self._images.add(layer, copied)

    async def _pack_libraries(self, requirements: str, record: Path) -> Layer:
        installed = self._work / record.name
        await asyncio.to_thread(install, requirements, self._base.platform, installed)
        layer = await self._pack(installed, DEPENDENCIES_ROOT)
        await asyncio.to_thread(_write, record, layer)
        return layer

    async def _pack(self, tree: Path, root: PurePosixPath) -> Layer:
        packed = tree.with_suffix(".tar.zst")
        await in_thread(compile_tree, self._python, tree, root)
        layer = await in_thread(pack, tree, root, packed)
        await asyncio.to_thread(shutil.rmtree, tree)
        await self._images.add(layer, packed)
        return layer


def _recorded(record: Path) -> Layer | None:
    return Layer(**json.loads(record.read_bytes())) if record.exists() else None


def _write(record: Path, layer: Layer) -> None:
    record.parent.mkdir(exist_ok=True)
    beside = record.with_suffix(".new")
    beside.write_text(json.dumps(asdict(layer)))
    beside.replace(record)  # who is interrupted leaves all of it or none

"""Images in a registry.

    HOST/PREFIX/layers           every layer, once for all images
    HOST/PREFIX/ACCOUNT/MODEL    the images of a model, each tagged by its version

Layers go to the first repository, since those of libraries belong to no model; a registry then mounts them
into a model's, which costs a request and no bytes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from services.builder.adapters.base_image import resolve
from services.builder.adapters.oci import ImageDocuments
from services.builder.domain.image import Base, Layer
from services.builder.domain.reference import Reference
from so1s.events import Image
from so1s.registry import Registry, Session


class RegistryImages:
    """The repositories below a prefix."""

    def __init__(self, registry: Registry, *, prefix: str, base: Reference | None = None) -> None:
        """Use a registry.

        Args:
            registry: where to.
            prefix: what the names of all repositories begin with.
            base: an image of the same registry that all others stand on; the machine that runs them where
                it is absent.
        """
        self._registry = registry
        self._prefix = prefix
        self._layers = f"{prefix}/layers"
        self._base = base

    async def base(self, platform: str) -> Base:
        """See `ports.Images`."""
        if self._base is None:
            return Base.host(platform)
        async with self._registry.session() as session:
            base = await resolve(session, self._base, platform)
            for layer in base.layers:
                await session.mount(
                    self._layers, layer.digest, layer.size_bytes, source=self._base.repository
                )
        return base

    async def has(self, layer: Layer) -> bool:
        """See `ports.Images`."""
        async with self._registry.session() as session:
            return await session.blob_size(self._layers, layer.digest) == layer.size_bytes

    async def add(self, layer: Layer, file: Path) -> None:
        """See `ports.Images`."""

        async def read(offset: int, length: int) -> bytes:
            return await asyncio.to_thread(_read, file, offset, length)

        async with self._registry.session() as session:
            await session.put_blob(self._layers, layer.digest, layer.size_bytes, read)
        await asyncio.to_thread(file.unlink)

    async def publish(self, name: str, config: dict[str, Any], layers: list[Layer]) -> Image:
        """See `ports.Images`."""
        model, _, version = name.partition(":")
        repository = f"{self._prefix}/{model}"
        image = ImageDocuments.of(config, layers)
        async with self._registry.session() as session:
            await self._put_blobs(session, repository, image, layers)
            for reference in (image.manifest.digest, version):
                await session.put_manifest(repository, reference, image.manifest)
        digest = image.manifest.digest
        reference = f"{self._registry.host}/{repository}@{digest}"
        return Image(reference=reference, digest=digest, size_bytes=image.size_bytes)

    async def _put_blobs(
        self, session: Session, repository: str, image: ImageDocuments, layers: list[Layer]
    ) -> None:
        async def config(offset: int, length: int) -> bytes:
            return image.config.data[offset : offset + length]

        puts = [session.put_blob(repository, image.config.digest, len(image.config.data), config)]
        mounts = [
            session.mount(repository, layer.digest, layer.size_bytes, source=self._layers) for layer in layers
        ]
        await asyncio.gather(*puts, *mounts)


def _read(file: Path, offset: int, length: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)

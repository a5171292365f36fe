"""Images in a registry.

    HOST/PREFIX/layers           every layer, once for all images
    HOST/PREFIX/ACCOUNT/MODEL    the images of a model, each tagged by its version

Layers go to the first repository, since those of libraries belong to no model; a registry then mounts them
into a model's, which costs a request and no bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.builder.adapters.base_image import resolve
from services.builder.adapters.oci import AttachmentDocuments, ImageDocuments, attachment_of
from services.builder.domain.attachment import Attachment
from services.builder.domain.failure import AttachmentRefused, Unlisted
from services.builder.domain.image import Base, Layer
from services.builder.domain.reference import Reference
from so1s.errors import TemporaryError
from so1s.events import Image
from so1s.registry import INDEX, MANIFEST, Document, Registry, RegistryRefuses, Session
from so1s.supply_chain.formats import Kind, referrers_tag, tag_of
from so1s.supply_chain.places import Repository

_TAG = "dev.so1s.tag"
"""Annotation of what is listed here: its tag. What takes the tag takes the place in the list, too."""


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

    async def fetch(self, layer: Layer, into: Path) -> None:
        """See `ports.Images`."""
        found = hashlib.sha256()
        with into.open("xb") as file:
            async with self._registry.session() as session:
                async for chunk in session.stream(self._layers, layer.digest):
                    found.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
        if f"sha256:{found.hexdigest()}" != layer.digest:
            raise TemporaryError(f"{self._layers}@{layer.digest} is broken: its bytes have another digest")

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

    async def attachments(self, image: Image, kind: Kind) -> list[Attachment]:
        """See `ports.Images`."""
        async with self._registry.session() as session:
            place = Repository(session, self._repository_of(image))
            found = await place.find(tag_of(image.digest, kind))
            layers = found[1]["layers"] if found else []
            return [attachment_of(each, await place.blob(each["digest"])) for each in layers]

    async def attach(self, image: Image, attached: Mapping[Kind, Sequence[Attachment]]) -> None:
        """See `ports.Images`. They are listed by their subject, too."""
        repository = self._repository_of(image)
        async with self._registry.session() as session:
            manifest = await session.manifest(repository, image.digest)
            if manifest is None:
                raise TemporaryError(f"{image.reference} is not there")
            subject = {"mediaType": MANIFEST, "digest": image.digest, "size": len(manifest)}
            documents = [AttachmentDocuments.of(subject, *each) for each in attached.items()]
            try:
                await _attach(session, repository, image.digest, documents)
            except RegistryRefuses as error:
                raise AttachmentRefused(str(error)) from error

    def _repository_of(self, image: Image) -> str:
        return image.reference.removeprefix(f"{self._registry.host}/").rpartition("@")[0]

    async def _put_blobs(
        self, session: Session, repository: str, image: ImageDocuments, layers: list[Layer]
    ) -> None:
        puts = [_put_bytes(session, repository, image.config.digest, image.config.data)]
        mounts = [
            session.mount(repository, layer.digest, layer.size_bytes, source=self._layers) for layer in layers
        ]
        await asyncio.gather(*puts, *mounts)


async def _attach(
    session: Session, repository: str, image: str, documents: Sequence[AttachmentDocuments]
) -> None:
    blobs = {digest: data for each in documents for digest, data in each.blobs.items()}
    await asyncio.gather(*(_put_bytes(session, repository, *each) for each in blobs.items()))
    tags = [tag_of(image, each.kind) for each in documents]
    puts = [
        session.put_manifest(repository, tag, each.manifest)
        for tag, each in zip(tags, documents, strict=True)
    ]
    # One that is refused keeps none of the others from being attached and listed.
    listed = await asyncio.gather(*puts, return_exceptions=True)
    unlisted = [
        each.listed | {"annotations": each.listed.get("annotations", {}) | {_TAG: tag}}
        for tag, each, is_listed in zip(tags, documents, listed, strict=True)
        if is_listed is False
    ]
    failures = [each for each in listed if isinstance(each, BaseException)]
    try:
        if unlisted:
            await _list(session, repository, referrers_tag(image), unlisted)
    except RegistryRefuses as error:
        failures.append(Unlisted(f"the list of what is attached: {error}"))
    if failures:
        # What another try may mend comes first.
        raise next((each for each in failures if not _is_refusal(each)), failures[0])


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, RegistryRefuses | AttachmentRefused)


async def _list(session: Session, repository: str, tag: str, new: Sequence[dict[str, Any]]) -> None:
    """Keep the list of what is attached to an image, for a registry that keeps none."""
    found = await session.manifest(repository, tag)
    present = json.loads(found).get("manifests") or [] if found else []
    names = {each["annotations"][_TAG] for each in new}
    stay = [each for each in present if (each.get("annotations") or {}).get(_TAG) not in names]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*stay, *new]}
    await session.put_manifest(repository, tag, Document.of(INDEX, index))


async def _put_bytes(session: Session, repository: str, digest: str, data: bytes) -> None:
    async def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    await session.put_blob(repository, digest, len(data), read)


def _read(file: Path, offset: int, length: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)

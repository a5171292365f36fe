"""Images as an OCI image layout in a directory, for a laptop.

The layout follows the OCI image specification: `oci-layout`, `index.json`, `blobs/sha256/…`. Several builders
may write to one directory: blobs are named by their content, and the index is replaced under a lock.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from services.builder.adapters.oci import AttachmentDocuments, ImageDocuments, attachment_of
from services.builder.domain.attachment import Attachment
from services.builder.domain.image import Base, Layer
from services.builder.stop import Stop, in_thread
from so1s.events import Image
from so1s.registry import INDEX, MANIFEST, Document
from so1s.supply_chain.formats import Kind, tag_of
from so1s.supply_chain.places import Layout

_NAME = "org.opencontainers.image.ref.name"


class LayoutImages:
    """An image layout; made where it is absent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._blobs = self._directory / "blobs" / "sha256"

    async def base(self, platform: str) -> Base:
        """The machine that reads the layout: its runner refuses an image of another platform."""
        return Base.host(platform)

    async def has(self, layer: Layer) -> bool:
        """See `ports.Images`."""
        path = self._blob(layer.digest)
        return path.exists() and path.stat().st_size == layer.size_bytes

    async def add(self, layer: Layer, file: Path) -> None:
        """See `ports.Images`."""
        await in_thread(self._add, layer, file)

    async def publish(self, name: str, config: dict[str, Any], layers: list[Layer]) -> Image:
        """See `ports.Images`."""
        return await in_thread(self._publish, name, config, layers)

    async def attachments(self, image: Image, kind: Kind) -> list[Attachment]:
        """See `ports.Images`."""
        found = await Layout(self._directory).find(tag_of(image.digest, kind))
        layers = found[1]["layers"] if found else []
        return [attachment_of(each, self._blob(each["digest"]).read_bytes()) for each in layers]

    async def attach(self, image: Image, kind: Kind, attachments: Sequence[Attachment]) -> None:
        """See `ports.Images`."""
        await in_thread(self._attach, image, kind, attachments)

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _add(self, _stop: Stop, layer: Layer, file: Path) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        _move(file, self._blob(layer.digest))

    def _publish(self, _stop: Stop, name: str, config: dict[str, Any], layers: list[Layer]) -> Image:
        self._blobs.mkdir(parents=True, exist_ok=True)
        image = ImageDocuments.of(config, layers)
        self._write(image.config)
        self._write(image.manifest)
        self._point(name, image.manifest)
        digest = image.manifest.digest
        return Image(reference=f"oci:{self._directory}@{digest}", digest=digest, size_bytes=image.size_bytes)

    def _attach(self, _stop: Stop, image: Image, kind: Kind, attachments: Sequence[Attachment]) -> None:
        size = self._blob(image.digest).stat().st_size
        subject = {"mediaType": MANIFEST, "digest": image.digest, "size": size}
        documents = AttachmentDocuments.of(subject, kind, attachments)
        for each in attachments:
            self._write_blob(each.digest, each.data)
        self._write(documents.config)
        self._write(documents.manifest)
        self._point(tag_of(image.digest, kind), documents.manifest)

    def _write(self, document: Document) -> None:
        self._write_blob(document.digest, document.data)

    def _write_blob(self, digest: str, data: bytes) -> None:
        if not self._blob(digest).exists():
            _replace(self._blob(digest), data)

    def _point(self, name: str, manifest: Document) -> None:
        """Enter an image into the index; the name leaves the image that it pointed to."""
        with FileLock(self._directory / "index.lock"):
            index = self._index()
            others = [each for each in index["manifests"] if each.get("annotations", {}).get(_NAME) != name]
            index["manifests"] = [*others, manifest.descriptor | {"annotations": {_NAME: name}}]
            _replace(self._directory / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _replace(self._directory / "index.json", json.dumps(index, indent=1).encode())

    def _index(self) -> dict[str, Any]:
        path = self._directory / "index.json"
        if path.exists():
            return json.loads(path.read_bytes())
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a machine that loses power, sees all of it or none."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as beside:
            shutil.copyfile(source, beside.name)
        Path(beside.name).replace(target)
        source.unlink()

"""Images as an OCI image layout in a directory, for a laptop.

The layout follows the OCI image specification: `oci-layout`, `index.json`, `blobs/sha256/…`. Several builders
may write to one directory: blobs are named by their content, and the index is replaced under a lock.

An image stays in the index, without a name, when its version is built again: replicas may run it. What
belongs to no image of the index, such as the layers of a build that was cancelled, may be removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from services.builder.adapters.oci import AttachmentDocuments, ImageDocuments, attachment_of
from services.builder.domain.attachment import Attachment
from services.builder.domain.eviction import Kept
from services.builder.domain.image import Base, Layer
from services.builder.layers import CHUNK_BYTES
from services.builder.retention import DIGEST
from services.builder.stop import Stop, in_thread
from so1s.errors import TemporaryError
from so1s.events import Image
from so1s.registry import INDEX, MANIFEST, Document
from so1s.supply_chain.formats import Kind, tag_of
from so1s.supply_chain.places import Layout

_NAME = "org.opencontainers.image.ref.name"
_WRITES = 8
"""At once: what is attached to an image at most."""


class LayoutImages:
    """An image layout; made where it is absent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._blobs = self._directory / "blobs" / "sha256"
        self._parts: dict[str, frozenset[str]] = {}
        """The digests that a manifest consists of, by its own."""

    async def base(self, platform: str) -> Base:
        """The machine that reads the layout: its runner refuses an image of another platform."""
        return Base.host(platform)

    async def has(self, layer: Layer) -> bool:
        """See `ports.Images`."""
        path = self._blob(layer.digest)
        try:
            os.utime(path)  # asked for: the layer of a build in hand must not go
            return path.stat().st_size == layer.size_bytes
        except FileNotFoundError:
            return False

    async def add(self, layer: Layer, file: Path) -> None:
        """See `ports.Images`."""
        await in_thread(self._add, layer, file)

    async def fetch(self, layer: Layer, into: Path) -> None:
        """See `ports.Images`."""
        await in_thread(self._fetch, layer, into)

    async def publish(self, name: str, config: dict[str, Any], layers: list[Layer]) -> Image:
        """See `ports.Images`."""
        return await in_thread(self._publish, name, config, layers)

    async def attachments(self, image: Image, kind: Kind) -> list[Attachment]:
        """See `ports.Images`."""
        found = await Layout(self._directory).find(tag_of(image.digest, kind))
        layers = found[1]["layers"] if found else []
        return [attachment_of(each, self._blob(each["digest"]).read_bytes()) for each in layers]

    async def attach(self, image: Image, attached: Mapping[Kind, Sequence[Attachment]]) -> None:
        """See `ports.Images`."""
        await in_thread(self._attach, image, attached)

    def kept(self) -> Iterable[Kept]:
        """See `ports.Cache`: blobs that belong to no image."""
        blobs, used = sorted(self._blobs.glob(DIGEST)), self._used()
        for path in blobs:
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.name not in used:
                    yield Kept(path, status.st_blocks * 512, status.st_mtime)

    def remove(self, kept: Kept, *, used_before: float) -> bool:
        """See `ports.Cache`. Whoever publishes meanwhile finds the layer there before, or misses it after."""
        if kept.path.parent != self._blobs:
            return False
        with self._locked(), contextlib.suppress(FileNotFoundError):
            if kept.path.name not in self._used() and kept.path.stat().st_mtime < used_before:
                kept.path.unlink()
                return True
        return False

    def _used(self) -> set[str]:
        """The names of the blobs that belong to images, with or without a name."""
        used: set[str] = set()
        for digest in {each["digest"] for each in self._index()["manifests"]}:
            if digest not in self._parts:
                manifest = json.loads(self._blob(digest).read_bytes())
                parts = [manifest["config"], *manifest["layers"]]
                self._parts[digest] = frozenset([digest, *(part["digest"] for part in parts)])
            used |= self._parts[digest]
        return {each.removeprefix("sha256:") for each in used}

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _fetch(self, _stop: Stop, layer: Layer, into: Path) -> None:
        try:
            shutil.copyfile(self._blob(layer.digest), into)
        except FileNotFoundError as error:
            raise TemporaryError(f"the layer {layer.digest} is not there") from error
        with into.open("rb") as file:
            if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != layer.digest:
                raise TemporaryError(f"the layer {layer.digest} is broken: its bytes have another digest")

    def _add(self, _stop: Stop, layer: Layer, file: Path) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        _move(file, self._blob(layer.digest))

    def _publish(self, _stop: Stop, name: str, config: dict[str, Any], layers: list[Layer]) -> Image:
        self._blobs.mkdir(parents=True, exist_ok=True)
        image = ImageDocuments.of(config, layers)
        with self._locked():
            if gone := [layer.digest for layer in layers if not self._blob(layer.digest).exists()]:
                raise TemporaryError(f"the layers {', '.join(gone)} were removed meanwhile")
            self._write({each.digest: each.data for each in (image.config, image.manifest)})
            self._replace_index(_pointing(self._index(), name, image.manifest, keep=True))
        digest = image.manifest.digest
        return Image(reference=f"oci:{self._directory}@{digest}", digest=digest, size_bytes=image.size_bytes)

    def _attach(self, _stop: Stop, image: Image, attached: Mapping[Kind, Sequence[Attachment]]) -> None:
        size = self._blob(image.digest).stat().st_size
        subject = {"mediaType": MANIFEST, "digest": image.digest, "size": size}
        documents = [AttachmentDocuments.of(subject, *each) for each in attached.items()]
        with self._locked():
            self._write({digest: data for each in documents for digest, data in each.all.items()})
            index = self._index()
            for each in documents:
                index = _pointing(index, tag_of(image.digest, each.kind), each.manifest, keep=False)
            self._replace_index(index)

    def _write(self, blobs: Mapping[str, bytes]) -> None:
        """Write small blobs, by their digests, all at once: to sync several takes a disk as long as one."""
        new = [(self._blob(digest), data) for digest, data in blobs.items()]
        new = [(path, data) for path, data in new if not path.exists()]
        with ThreadPoolExecutor(max_workers=_WRITES) as pool:
            for written in [pool.submit(_replace, *each) for each in new]:
                written.result()

    def _replace_index(self, index: dict[str, Any]) -> None:
        """Write the locked index."""
        marker = self._directory / "oci-layout"
        if not marker.exists():
            _replace(marker, b'{"imageLayoutVersion":"1.0.0"}')
        _replace(self._directory / "index.json", json.dumps(index, indent=1).encode())

    def _locked(self) -> FileLock:
        """Held by one builder at a time; in a thread, since others may hold it for some milliseconds."""
        return FileLock(self._directory / "index.lock")

    def _index(self) -> dict[str, Any]:
        path = self._directory / "index.json"
        if path.exists():
            return json.loads(path.read_bytes())
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def _pointing(index: dict[str, Any], name: str, manifest: Document, *, keep: bool) -> dict[str, Any]:
    """An index whose name points to a manifest; what it pointed to goes, or stays without it."""
    entries = [each for each in index["manifests"] if _name_of(each) not in {name, None}]
    unnamed = {each["digest"]: each for each in index["manifests"] if _name_of(each) is None}
    before = [each for each in index["manifests"] if keep and _name_of(each) == name]
    unnamed |= {each["digest"]: _without_name(each) for each in before}
    unnamed.pop(manifest.digest, None)
    named = manifest.descriptor | {"annotations": {_NAME: name}}
    return index | {"manifests": [*unnamed.values(), *entries, named]}


def _name_of(entry: Mapping[str, Any]) -> str | None:
    return entry.get("annotations", {}).get(_NAME)


def _without_name(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "annotations"}


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a machine that loses power, sees all of it or none."""
    with _beside(path) as file:
        file.write(data)


@contextlib.contextmanager
def _beside(path: Path) -> Generator[IO[bytes], None, None]:
    """A file that takes the place of `path` when all of it is on the disk; a full one keeps nothing of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        beside = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            beside.unlink()
            raise
    beside.chmod(0o644)
    beside.replace(path)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with _beside(target) as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy, CHUNK_BYTES)
        source.unlink()

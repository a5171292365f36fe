"""Images of an OCI layout on disk, unpacked so that processes of this machine can run them.

Format: https://github.com/opencontainers/image-spec, `image-layout.md`, `manifest.md`, `layer.md`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import shutil
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from backports import tarfile

from so1s.links import link

_CHUNK_BYTES = 1024 * 1024
_UNFINISHED = ".unpacking-"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class ImageProblem(Exception):
    """An image is not there, is broken, or is made for another machine."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An image on this machine."""

    entrypoint: tuple[str, ...]
    """As the image says it, with its own paths replaced by those of this machine."""
    environment: dict[str, str]
    """The same of the environment."""


def host_platform() -> str:
    """What an image of the base `host` must have been made for, such as `linux-x86_64-cp311`."""
    return f"{sys.platform}-{platform.machine()}-cp{sys.version_info.major}{sys.version_info.minor}"


def unpack(reference: str, directory: Path) -> Unpacked:
    """Unpack an image's layers, each once, and find its parts in them. Blocks for as long as it takes.

    Args:
        reference: `oci:DIRECTORY@DIGEST`.
        directory: where layers are unpacked, one directory a digest.

    Raises:
        ImageProblem: the image cannot run here.
    """
    scheme, _, rest = reference.partition(":")
    layout, _, digest = rest.rpartition("@")
    if scheme != "oci" or not layout:
        raise ImageProblem(f"{reference}: allowed: oci:DIRECTORY@DIGEST")
    blobs = _Blobs(Path(layout))
    manifest = blobs.json(digest)
    if manifest.get("mediaType", _MANIFEST) != _MANIFEST:
        raise ImageProblem(f"{digest} is no image manifest but {manifest['mediaType']}")
    config = blobs.json(manifest["config"]["digest"]).get("config", {})
    _check_platform(config.get("Labels") or {})
    layers = [_unpack_layer(blobs, layer, directory) for layer in reversed(manifest["layers"])]
    environment = dict(entry.split("=", 1) for entry in config.get("Env") or [])
    return Unpacked(
        entrypoint=tuple(_here(layers, word, directory) for word in config.get("Entrypoint") or []),
        environment={name: _all_here(layers, value) for name, value in environment.items()},
    )


def remove_leftovers(directory: Path) -> None:
    """Remove what a crash left half unpacked; no unpacking may be under way."""
    for leftover in directory.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _check_platform(labels: dict[str, str]) -> None:
    if labels.get("so1s.base") != "host":
        raise ImageProblem(
            f"the image's base is {labels.get('so1s.base')!r}; this machine runs the base 'host'"
        )
    if labels.get("so1s.platform") != host_platform():
        raise ImageProblem(
            f"the image is made for {labels.get('so1s.platform')!r}, this machine is {host_platform()!r}"
        )


class _Blobs:
    """The blobs of a layout, checked against their digests."""

    def __init__(self, layout: Path) -> None:
        self._layout = layout

    def path(self, digest: str) -> Path:
        algorithm, _, name = digest.partition(":")
        path = self._layout / "blobs" / algorithm / name
        if algorithm != "sha256" or not path.is_file():
            raise ImageProblem(f"{digest} is not in {self._layout}")
        return path

    def json(self, digest: str) -> dict[str, Any]:
        data = self.path(digest).read_bytes()
        _check(digest, hashlib.sha256(data).hexdigest())
        return json.loads(data)


class _Hashing(io.RawIOBase):
    """A stream that hashes what is read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        count = self._stream.readinto(view)  # ty: ignore[missing-attribute] - every binary file has it
        self._hash.update(view[:count])
        return count

    def finish(self) -> str:
        """Read on to the end, and answer the hash of all."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hash.hexdigest()


def _unpack_layer(blobs: _Blobs, layer: dict[str, Any], directory: Path) -> Path:
    digest = layer["digest"]
    target = directory / digest.replace(":", "-")
    if target.is_dir():
        return target
    source = blobs.path(digest)
    directory.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory))
    try:
        with source.open("rb") as raw:
            stream = _Hashing(raw)
            _extract(io.BufferedReader(stream, _CHUNK_BYTES), layer["mediaType"], temporary)
            _check(digest, stream.finish())
        temporary.rename(target)
    except (OSError, EOFError, tarfile.TarError, zstandard.ZstdError) as error:
        if not target.is_dir():  # else another process was faster
            raise ImageProblem(f"layer {digest} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _extract(stream: BinaryIO, media_type: str, target: Path) -> None:
    with _decompressed(stream, media_type) as tar, tarfile.open(fileobj=tar, mode="r|") as archive:
        archive.extractall(target, filter="data")  # refuses links and paths that lead out


def _decompressed(stream: BinaryIO, media_type: str) -> AbstractContextManager[Any]:
    if media_type.endswith("+zstd"):
        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    if media_type.endswith("+gzip"):
        return gzip.GzipFile(fileobj=stream)
    return nullcontext(stream)


def _check(digest: str, found: str) -> None:
    if digest != f"sha256:{found}":
        raise ImageProblem(f"{digest} is broken: its bytes have the digest sha256:{found}")


def _found(layers: list[Path], path: str) -> list[str]:
    """Where an image's absolute path is on this machine, the topmost layer first."""
    candidates = [layer / path.lstrip("/") for layer in layers]
    return [str(candidate) for candidate in candidates if candidate.exists()]


def _here(layers: list[Path], word: str, directory: Path) -> str:
    if not word.startswith("/"):
        return word
    found = _found(layers, word)
    if not found:
        raise ImageProblem(f"no layer of the image has {word}")
    return _merged(found, directory) if len(found) > 1 else found[0]


def _merged(places: list[str], directory: Path) -> str:
    """One directory with the files of several layers, the topmost first; links, which take no room."""
    target = directory / f"merged-{hashlib.sha256(':'.join(places).encode()).hexdigest()}"
    if target.is_dir():
        return str(target)
    temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory))
    try:
        for place in reversed(places):
            shutil.copytree(place, temporary, copy_function=link, dirs_exist_ok=True)
        temporary.rename(target)
    except OSError as error:
        if not target.is_dir():  # else another process was faster
            raise ImageProblem(f"{', '.join(places)} cannot be put together: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return str(target)


def _all_here(layers: list[Path], value: str) -> str:
    """A search path, each of its directories in every layer that has it; other values as they are."""
    words = value.split(":")
    if not all(word.startswith("/") for word in words):
        return value
    return ":".join(place for word in words for place in _found(layers, word))

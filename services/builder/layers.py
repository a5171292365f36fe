"""Layers of an image, the same to the last byte wherever and whenever they are packed.

A layer is a tar of sorted members with modification time 0, user and group 0 and fixed modes, compressed by
zstd, as the OCI image specification describes it. Weights that become hardly smaller may stay as they are:
whoever builds, pulls or unpacks them would pay for nothing.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

import zstandard
from backports import tarfile

from services.builder.domain.image import Layer
from services.builder.stop import Stop

CHUNK_BYTES = 1024 * 1024
_ZSTD_LEVEL = 3
"""The library's default: a third level costs little more than hashing and halves a site-packages."""
_THREADS = min(4, os.cpu_count() or 1)
"""zstd gives the same bytes with any number of threads but 0, which is another way to compress."""
_LARGE_BYTES = 4 * CHUNK_BYTES
"""Smaller files are not asked whether they become smaller."""
_SAMPLES = 8
_SAMPLE_BYTES = CHUNK_BYTES // 2
_WORTH_BELOW = 0.9
"""Of its size, a layer must become less by compression; weights of float32 keep about 0.93."""


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Hashing:
    """Passes bytes on, and hashes and counts them."""

    def __init__(self, sink: _Sink, stop: Stop) -> None:
        self._sink = sink
        self._stop = stop
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes, /) -> int:
        self._stop.check()
        self._hash.update(data)
        self.size_bytes += len(data)
        self._sink.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def pack(stop: Stop, tree: Path, root: PurePosixPath, into: Path, *, weights: bool = False) -> Layer:
    """Pack the files below `tree` as `root` of the image into the new file `into`, in one pass.

    Args:
        stop: asked on the way.
        tree: a directory of files and directories.
        root: where an image has them.
        into: does not exist yet.
        weights: whether it may stay uncompressed, if its large files become hardly smaller.

    Raises:
        Stopped: `stop` was told.
        ValueError: the tree holds something that is neither file nor directory.
    """
    with into.open("xb") as file:
        packed = _Hashing(file, stop)
        if weights and not _is_worth_compressing(tree):
            _write_tar(packed, tree, root)
            return Layer.packed(packed.digest, packed.digest, packed.size_bytes)
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=_THREADS)
        with compressor.stream_writer(cast("IO[bytes]", packed), closefd=False) as writer:
            plain = _Hashing(writer, stop)
            _write_tar(plain, tree, root)
    return Layer.packed(packed.digest, plain.digest, packed.size_bytes)


def unpack(stop: Stop, layer: Layer, file: Path, root: PurePosixPath, into: Path) -> None:
    """Unpack what a layer, in `file`, has below `root` of the image into the new directory `into`."""
    prefix = root.relative_to("/")
    into.mkdir()
    with (
        file.open("rb") as raw,
        _decompressed(layer, raw) as plain,
        tarfile.open(fileobj=plain, mode="r|", encoding="utf-8") as tar,
    ):
        for member in tar:
            stop.check()
            path = PurePosixPath(member.name)
            if path.is_relative_to(prefix) and path != prefix:
                tar.extract(
                    member.replace(name=str(path.relative_to(prefix)), deep=False), into, filter="data"
                )


def _decompressed(layer: Layer, file: BufferedReader) -> AbstractContextManager[IO[bytes]]:
    if layer.is_compressed:
        return cast("IO[bytes]", zstandard.ZstdDecompressor().stream_reader(file))
    return nullcontext(file)


def _is_worth_compressing(tree: Path) -> bool:
    """As samples of the large files tell, which lie as far from each other wherever one file ends."""
    files = [path for path in _sorted(tree) if path.is_file() and not path.is_symlink()]
    large = [path for path in files if path.stat().st_size >= _LARGE_BYTES]
    if not large:
        return True
    ends = [*accumulate(path.stat().st_size for path in large)]
    samples = [_sample(large, ends, ends[-1] * number // _SAMPLES) for number in range(_SAMPLES)]
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    return sum(len(compressor.compress(each)) for each in samples) < _WORTH_BELOW * sum(map(len, samples))


def _sample(files: Sequence[Path], ends: Sequence[int], place: int) -> bytes:
    """The bytes at a place of files that follow one another; none of the next file."""
    index = bisect_right(ends, place)
    with files[index].open("rb") as file:
        file.seek(place - ends[index], os.SEEK_END)
        return file.read(_SAMPLE_BYTES)


def _write_tar(sink: _Hashing, tree: Path, root: PurePosixPath) -> None:
    with tarfile.open(
        fileobj=cast("IO[bytes]", sink),
        mode="w|",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        bufsize=CHUNK_BYTES,
    ) as tar:
        # Else it adds 16 KiB at a time to a buffer of a mebibyte, and copies all of that each time.
        tar.copybufsize = CHUNK_BYTES
        for parent in reversed(root.relative_to("/").parents):
            if parent.parts:
                tar.addfile(_directory(parent))
        tar.addfile(_directory(root.relative_to("/")))
        for path in _sorted(tree):
            _add(tar, path, root.relative_to("/") / path.relative_to(tree).as_posix())


def _sorted(tree: Path) -> Iterator[Path]:
    """All below a directory, a directory before its members; by code points, whatever the locale."""
    for path in sorted(tree.iterdir(), key=lambda path: path.name):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _sorted(path)


def _add(tar: tarfile.TarFile, path: Path, name: PurePosixPath) -> None:
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        raise ValueError(f"{path} is neither a file nor a directory")
    if path.is_dir():
        tar.addfile(_directory(name))
        return
    with path.open("rb") as file:
        tar.addfile(_file(name, path), file)


def _directory(name: PurePosixPath) -> tarfile.TarInfo:
    info = tarfile.TarInfo(str(name))
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info


def _file(name: PurePosixPath, path: Path) -> tarfile.TarInfo:
    info = tarfile.TarInfo(str(name))
    status = path.stat()
    info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
    return info

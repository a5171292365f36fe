"""Archives to files. An archive is a stranger's: nothing in it may leave its directory or fill the disk."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Literal, Protocol, cast

import zstandard

from services.builder.domain.archive import Budget, Kind, Limits, inner_path, require_plain, same_name
from services.builder.domain.failure import BuildError, Hostile
from services.builder.layers import CHUNK_BYTES
from services.builder.stop import Stop
from so1s.formats.zips import (
    BROKEN,
    LARGEST_READ_BYTES,
    Capped,
    Oversized,
    recognise_zip,
    require_sound_machine,
)

ArchiveKind = Literal["tar", "tar.gz", "tar.zst", "zip"]

_TAR_MAGIC_AT = 257
_MAGICS: dict[bytes, ArchiveKind] = {
    b"\x1f\x8b": "tar.gz",
    b"\x28\xb5\x2f\xfd": "tar.zst",
    b"PK\x03\x04": "zip",
}
_ENCRYPTED = 0x1
_BROKEN = (*BROKEN, tarfile.TarError, zstandard.ZstdError, OverflowError)


def archive_kind(path: Path) -> ArchiveKind | None:
    """What kind of archive a file is, told by its first bytes; None for a model and anything else.

    Raises:
        Hostile: a zip archive's directory is meant to fill the memory.
    """
    with path.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + 5)
        if head[_TAR_MAGIC_AT:] == b"ustar":
            return "tar"
        kind = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), None)
        try:
            return None if kind == "zip" and recognise_zip(file) else kind
        except Oversized as error:
            raise Hostile(str(error)) from error


def unpack(stop: Stop, path: Path, kind: ArchiveKind, into: Path, limits: Limits) -> None:
    """Unpack an archive into an empty directory. Only names and bytes are taken; modes and owners are not.

    Raises:
        Hostile: the archive holds links, devices or names that leave `into`, or grows past `limits`.
        BuildError: it is broken.
        Stopped: `stop` was told.
    """
    budget = Budget(files=limits.files, bytes_=limits.unpacked_bytes, ratio=limits.ratio)
    try:
        with path.open("rb") as file:
            if kind == "zip":
                _unpack_zip(stop, file, into, budget)
            else:
                _unpack_tar(stop, _plain(file, kind), into, budget, file)
    except RecursionError as error:  # tarfile reads header after header by recursion
        raise Hostile("the archive nests headers without end") from error
    except Oversized as error:
        raise Hostile(str(error)) from error
    except _BROKEN as error:
        require_sound_machine(error)
        raise BuildError("artifact", f"{path.name} is no whole {kind} archive: {error}") from error


def _plain(file: IO[bytes], kind: ArchiveKind) -> IO[bytes]:
    if kind == "tar.gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if kind == "tar.zst":
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
        return cast("IO[bytes]", reader)
    return file


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def _write(stop: Stop, source: _Readable, target: Path) -> int:
    """Write a new file and return its size; refuses a second file of a name."""
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while chunk := source.read(CHUNK_BYTES):
                stop.check()
                size += file.write(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise same_name(target.name) from error
    return size


class _Stream:
    """The bytes of a tar: read forward only, counted, never many at once."""

    def __init__(self, stop: Stop, plain: IO[bytes], budget: Budget, archive: IO[bytes]) -> None:
        self._stop = stop
        self._plain = plain
        self._budget = budget
        self._archive = archive
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        while self._position < position and self.read(min(CHUNK_BYTES, position - self._position)):
            self._stop.check()
        return self._position

    def read(self, size: int) -> bytes:
        if size > LARGEST_READ_BYTES:
            raise Hostile(f"the archive holds a header of {size} bytes")
        data = _exactly(self._plain, size)
        self._position += len(data)
        self._budget.take_bytes(len(data), self._archive.tell())
        self._last = data
        return data

    def finish(self) -> None:
        """Read to the end, where compressed bytes have their checksum.

        Raises:
            TarError: the tar did not end with a block of zeros, so its last members are missing.
        """
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")
        while self.read(CHUNK_BYTES):
            pass


def _exactly(plain: IO[bytes], size: int) -> bytes:
    """`size` bytes, fewer only at the end: a decompressor gives what it has."""
    parts = []
    while size > 0 and (part := plain.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _unpack_tar(stop: Stop, plain: IO[bytes], into: Path, budget: Budget, archive: IO[bytes]) -> None:
    stream = _Stream(stop, plain, budget, archive)
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as tar:
        while member := tar.next():
            budget.take_file()
            kind = _tar_kind(member)
            require_plain(kind, member.name)
            target = into / inner_path(member.name)
            if kind is Kind.FILE:
                source = tar.extractfile(member)
                assert source is not None
                _write(stop, source, target)
    stream.finish()


def _tar_kind(member: tarfile.TarInfo) -> Kind:
    if member.isdir():
        return Kind.DIRECTORY
    return (
        Kind.FILE if member.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and not member.sparse else Kind.OTHER
    )


def _unpack_zip(stop: Stop, file: IO[bytes], into: Path, budget: Budget) -> None:
    size = file.seek(0, 2)
    with zipfile.ZipFile(cast("IO[bytes]", Capped(file))) as archive:
        for member in archive.infolist():
            budget.take_file()
            kind = _zip_kind(member)
            require_plain(kind, member.filename)
            target = into / inner_path(member.filename)
            if member.flag_bits & _ENCRYPTED:
                raise BuildError("artifact", f"{member.filename!r} is encrypted; allowed: plain archives")
            if kind is Kind.FILE:
                with archive.open(member) as source:
                    _write(stop, _Counted(source, budget, size), target)


def _zip_kind(member: zipfile.ZipInfo) -> Kind:
    if member.is_dir():
        return Kind.DIRECTORY
    file_type = stat.S_IFMT(member.external_attr >> 16)
    return Kind.FILE if file_type in {0, stat.S_IFREG} else Kind.OTHER


class _Counted:
    """The bytes of a member, counted against the whole archive's size."""

    def __init__(self, source: IO[bytes], budget: Budget, archive_bytes: int) -> None:
        self._source = source
        self._budget = budget
        self._archive_bytes = archive_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._budget.take_bytes(len(data), self._archive_bytes)
        return data

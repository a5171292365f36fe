"""What is read of a wheel that a stranger made, in bounded memory."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Origin

_MOST_METADATA_BYTES = 4 * 2**20
_MOST_LISTED_BYTES = 16 * 2**20
"""Of a wheel's directory of its own files."""
_CHUNK_BYTES = 2**20
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""What is unpacked piece by piece; of other kinds, zipfile unpacks a piece whole, however large that is."""
_UNREADABLE = (
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    zlib.error,
    EOFError,
    UnicodeDecodeError,
)
"""What zipfile raises of broken, encrypted and unknown content."""


class _Bounded(io.BufferedReader):
    """A file of which nobody takes too much at once, as zipfile does where a directory claims to be large."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_LISTED_BYTES:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile("its directory begins before the file")
        return super().seek(offset, whence)


@contextmanager
def opened(wheel: Path, pin: str) -> Generator[zipfile.ZipFile, None, None]:
    """A wheel, whose package `pin` names. Raises BuildError where it, or what is read of it, is broken."""
    try:
        with _Bounded(io.FileIO(wheel)) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except _UNREADABLE as error:
        message = f"{pin} gives no wheel that can be read: {' '.join(str(error).split()):.200}"
        raise BuildError("dependencies", message) from error


def chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a file of a wheel that is `opened`."""
    if member.compress_type not in _PACKED:
        raise zipfile.BadZipFile(f"{member.filename} is neither stored nor deflated")
    with archive.open(member) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def write_outline(origin: Origin, wheel: Path, extras: Collection[str], into: Path) -> None:
    """Write a wheel that requires what another one does, and has no file else.

    It is what uv resolves with. It is written anew from what was checked, so that no other reader of archives
    finds another requirement in it; and uv, which follows URLs, reads of none. A requirement with a URL that
    holds for an extra alone which the upload's author does not ask for is left out, with that extra: other
    packages may ask for it.

    Args:
        origin: what the wheel is of.
        wheel: as it was built or fetched.
        extras: of it that the upload's author asks for.
        into: the new file, of a wheel's name.

    Raises:
        BuildError: it cannot be read, is of another package or version, or requires a URL.
    """
    try:
        lines = [*_outlined(origin, _metadata(origin, wheel), extras)]
    except (ValueError, RecursionError) as error:  # of names, versions, markers, and of depths of brackets
        message = f"{origin.pin}: its metadata cannot be read: {' '.join(str(error).split()):.200}"
        raise BuildError("dependencies", message) from error
    said = f"{'-'.join(into.name.split('-')[:2])}.dist-info"
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr(f"{said}/METADATA", "".join(f"{' '.join(line.split())}\n" for line in lines))
        tags = "Wheel-Version: 1.0\nGenerator: so1s\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{said}/WHEEL", tags)
        archive.writestr(f"{said}/RECORD", f"{said}/METADATA,,\n{said}/WHEEL,,\n{said}/RECORD,,\n")


def _metadata(origin: Origin, wheel: Path) -> bytes:
    with opened(wheel, origin.pin) as archive:
        found = [each for each in archive.infolist() if _is_metadata(each.filename)]
        if len(found) != 1:
            raise zipfile.BadZipFile(f"it has {len(found)} files *.dist-info/METADATA")
        text = b""
        for chunk in chunks(archive, found[0]):
            text += chunk
            if len(text) > _MOST_METADATA_BYTES:
                raise zipfile.BadZipFile(f"its metadata have more than {_MOST_METADATA_BYTES} bytes")
    return text


def _is_metadata(path: str) -> bool:
    directory, _, name = path.partition("/")
    return directory.endswith(".dist-info") and name == "METADATA"


def _outlined(origin: Origin, metadata: bytes, extras: Collection[str]) -> Iterator[str]:
    """The lines of metadata that resolution needs."""
    said, unread = parse_email(metadata)
    name, version = said.get("name", ""), said.get("version", "")
    is_same = (canonicalize_name(name), Version(version)) == (origin.name, Version(origin.version))
    required = [Requirement(" ".join(each.split())) for each in said.get("requires_dist", [])]
    if not is_same or unread.keys() & {"name", "version", "requires-dist", "requires-python"}:
        raise BuildError(
            "dependencies", f"{origin.pin}: its metadata are of {name[:100]!r} {version[:100]!r}"
        )
    for each in required:
        if any(_leads_away(each, extra) for extra in ("", *extras)):
            message = f"{origin.pin} requires {str(each)!r:.200}; allowed: packages of the index"
            raise BuildError("dependencies", message)
    yield "Metadata-Version: 2.1"
    yield f"Name: {origin.name}"
    yield f"Version: {Version(version)}"
    if python := said.get("requires_python"):
        yield f"Requires-Python: {python}"
    yield from (f"Requires-Dist: {each}" for each in required if each.url is None)
    for extra in map(canonicalize_name, said.get("provides_extra", [])):
        if not any(_leads_away(each, extra) for each in required):
            yield f"Provides-Extra: {extra}"


def _leads_away(requirement: Requirement, extra: str) -> bool:
    """Whether uv would follow its URL, where that extra is asked for."""
    if requirement.url is None:
        return False
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

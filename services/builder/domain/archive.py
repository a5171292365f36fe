"""Which files an artifact may hold, whether it comes as an archive or as a listing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import PurePosixPath

from services.builder.domain.failure import Hostile
from so1s.modelfile_tensors import INPUT_BYTES

_LONGEST_PATH_BYTES = 1024
_LONGEST_PART_BYTES = 255


class Kind(Enum):
    """What a member of an archive is."""

    FILE = auto()
    DIRECTORY = auto()
    OTHER = auto()
    """A link, a device, a pipe, a socket: nothing that a model needs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one artifact may grow to, and ask for."""

    artifact_bytes: int
    """As uploaded."""
    unpacked_bytes: int
    files: int
    ratio: int
    """Unpacked bytes for each byte of an archive; judged above `RATIO_FLOOR_BYTES`."""
    input_bytes: int = INPUT_BYTES
    """What its inputs may declare for one request."""


RATIO_FLOOR_BYTES = 64 * 1024 * 1024
"""Below this size a high ratio harms nobody, and small archives of zeros are common in tests."""


class Budget:
    """Counts what an artifact has taken of its limits."""

    def __init__(self, *, files: int, bytes_: int, ratio: int | None = None) -> None:
        self._files = files
        self._bytes = bytes_
        self._ratio = ratio
        self._taken_files = 0
        self._taken_bytes = 0

    def take_file(self) -> None:
        """Count one more member.

        Raises:
            Hostile: there are too many.
        """
        self._taken_files += 1
        if self._taken_files > self._files:
            raise Hostile(f"the artifact holds more than {self._files} files")

    def take_bytes(self, count: int, read: int | None = None) -> None:
        """Count `count` more bytes; `read` is how many bytes of an archive gave all of them so far.

        Raises:
            Hostile: they are too many, or far more than the archive's size explains.
        """
        self._taken_bytes += count
        if self._taken_bytes > self._bytes:
            raise Hostile(f"the artifact holds more than {self._bytes} bytes")
        if read is None or self._ratio is None or self._taken_bytes <= RATIO_FLOOR_BYTES:
            return
        if self._taken_bytes > self._ratio * max(read, 1):
            raise Hostile(f"the archive unpacks to more than {self._ratio} times its size")


def inner_path(name: str) -> PurePosixPath:
    """The path of a member, relative to the artifact's directory.

    Raises:
        Hostile: the name is absolute, leaves the directory or is none that every file system takes.
    """
    path = PurePosixPath(name)
    if "\\" in name or ":" in name[:2] or not name.isprintable():
        raise Hostile(f"the artifact holds a file with an unusual name: {name!r}")
    if path.is_absolute() or ".." in path.parts:
        raise Hostile(f"the artifact holds a file outside of its directory: {name!r}")
    if len(name.encode()) > _LONGEST_PATH_BYTES or any(
        len(part.encode()) > _LONGEST_PART_BYTES for part in path.parts
    ):
        raise Hostile(f"the artifact holds a file with a name that is too long: {name[:80]!r}…")
    return path


def require_plain(kind: Kind, name: str) -> None:
    """Refuse all but files and directories.

    Raises:
        Hostile: the member is a link or a device.
    """
    if kind is Kind.OTHER:
        raise Hostile(f"the artifact holds a link or a device: {name!r}; allowed: files and directories")


def same_name(name: str) -> Hostile:
    """The error of a file where another one is, or where one of the others needs a directory."""
    return Hostile(
        f"the artifact holds two files of one name, or a file where others need a directory: {name!r}"
    )

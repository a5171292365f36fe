"""Zip archives of strangers: their names and small members, without filling the memory; nothing is run."""

from __future__ import annotations

import errno
import json
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from so1s.errors import PermanentError
from so1s.events.model import Format

LARGEST_READ_BYTES = 8 * 1024 * 1024
"""Readers of archives take headers in one read: a header above this size is meant to fill the memory."""

MAGIC = b"PK\x03\x04"
_LARGEST_MEMBER_BYTES = 64 * 1024 * 1024
_LARGEST_MARKER_BYTES = 100
_SCHEMA = "schema.json"
_SKLEARN_VERSION = re.compile(
    r'"_sklearn_version":\s*\{[^{}]*?"content":\s*"\\"(?P<version>[0-9][^"\\]*)\\""'
)
"""Each estimator's state has it, as a JSON string within JSON."""
_PROGRAM = re.compile(r"models/[^/]+\.json")
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,  # bzip2's; also one of the machine's, see `require_sound_machine`
    EOFError,
    LookupError,
    ValueError,  # a name that is no UTF-8
    struct.error,
    RuntimeError,
    NotImplementedError,  # a compression method that zipfile does not know
)
"""What reading a broken archive raises."""


def require_sound_machine(error: Exception) -> None:
    """Raise an error of BROKEN again that is the machine's and not the archive's, such as a full disk's.

    Decompressors give an OSError no number, and a broken archive may send zipfile to before its start.
    """
    if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
        raise error


class Oversized(PermanentError):
    """An archive whose directory is meant to fill the memory."""


class Capped:
    """A file of which never many bytes are read at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        """Read as a file does.

        Raises:
            Oversized: more is asked for than a well-meant archive needs.
        """
        data = self._file.read(LARGEST_READ_BYTES + 1 if size < 0 else min(size, LARGEST_READ_BYTES + 1))
        if len(data) > LARGEST_READ_BYTES:
            raise Oversized("the archive's directory is too large")
        return data

    def seekable(self) -> bool:
        """It is, as the file is."""
        return True


def recognise_zip(file: IO[bytes]) -> Format | None:
    """The format of a model that is a zip archive itself; None for other archives and other files.

    Raises:
        Oversized: its directory is too large.
    """
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        return None
    try:
        with zipfile.ZipFile(cast("IO[bytes]", Capped(file))) as archive:
            return next((name for name, is_one in _RECOGNISERS.items() if is_one(archive)), None)
    except BROKEN as error:
        require_sound_machine(error)
        return None


def _is_skops(archive: zipfile.ZipFile) -> bool:
    """Whether `schema.json` names a loader and a protocol."""
    schema = _json(archive, _SCHEMA)
    return isinstance(schema, dict) and {"__loader__", "protocol"} <= schema.keys()


def sklearn_that_saved(file: IO[bytes]) -> str | None:
    """The version of scikit-learn that a skops file was saved by; None where it does not say."""
    try:
        with zipfile.ZipFile(cast("IO[bytes]", Capped(file))) as archive:
            if archive.getinfo(_SCHEMA).file_size > _LARGEST_MEMBER_BYTES:
                return None
            found = _SKLEARN_VERSION.search(archive.read(_SCHEMA).decode(errors="replace"))
    except BROKEN as error:
        require_sound_machine(error)
        return None
    return found["version"] if found else None


def _is_keras(archive: zipfile.ZipFile) -> bool:
    """Whether this is a `.keras` file: the three parts that Keras 3 writes, and its version."""
    if not {"config.json", "model.weights.h5"} <= set(archive.namelist()):
        return False
    metadata = _json(archive, "metadata.json")
    return isinstance(metadata, dict) and "keras_version" in metadata


def _is_exported_program(archive: zipfile.ZipFile) -> bool:
    """Whether PyTorch's one directory says that it is a `.pt2`, and holds a program and no machine code."""
    names = inner_names(archive)
    if "archive_format" not in names or not any(_PROGRAM.fullmatch(name) for name in names):
        return False
    return archive.read(names["archive_format"]).strip() == b"pt2" and not any(
        name.startswith("data/aotinductor/") for name in names
    )


def _is_torchscript(archive: zipfile.ZipFile) -> bool:
    """Whether PyTorch's one directory holds the code of TorchScript beside its pickled data."""
    names = inner_names(archive)
    return {"data.pkl", "constants.pkl", "version"} <= names.keys() and any(
        name.startswith("code/") and name.endswith(".py") for name in names
    )


def inner_names(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Member by path within the archive's one directory; none where there are several, or large markers."""
    members = archive.infolist()
    if len({member.filename.partition("/")[0] for member in members}) != 1:
        return {}
    inner = {member.filename.partition("/")[2]: member for member in members}
    marker = inner.get("archive_format")
    return {} if marker and marker.file_size > _LARGEST_MARKER_BYTES else inner


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    """What a member holds; None where it is not there or too large."""
    if name not in archive.namelist() or archive.getinfo(name).file_size > _LARGEST_MEMBER_BYTES:
        return None
    return json.loads(archive.read(name))


_RECOGNISERS: Mapping[Format, Callable[[zipfile.ZipFile], bool]] = {
    "skops": _is_skops,
    "keras": _is_keras,
    "torch": _is_exported_program,
    "torchscript": _is_torchscript,
}

"""Hashes of what an image is made of, in hexadecimal."""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import normpath

from services.builder.stop import Stop
from so1s.events.model import Format
from so1s.formats import directories

_CHUNK_BYTES = 1024 * 1024

# The entry `location` of TensorProto.external_data, up to the length of its value: onnx/onnx.proto.
_LOCATION = re.compile(
    rb"\x0a\x08location\x12(?P<low>[\x00-\x7f]|[\x80-\xff](?P<high>[\x01-\x7f]))", re.DOTALL
)


def sha256_of(stop: Stop, path: Path) -> str:
    """The hash of a file.

    Raises:
        Stopped: `stop` was told.
    """
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            stop.check()
            sha256.update(chunk)
    return sha256.hexdigest()


def sha256_of_model(stop: Stop, file: Path, model_format: Format) -> str:
    """The hash of a model's file; of several files, of the lines `SHA256  PATH` of them, sorted by path.

    A model has several where it is a directory, or ONNX whose weights lie in files beside it.

    Raises:
        Stopped: `stop` was told.
    """
    if model_format in directories.FORMATS:
        return _sha256_of_files(stop, file.parent, file.parent.rglob("*"))
    beside = set(_external_data(file)) if model_format == "onnx" else set()
    return _sha256_of_files(stop, file.parent, {file, *beside}) if beside else sha256_of(stop, file)


def _sha256_of_files(stop: Stop, directory: Path, paths: Iterable[Path]) -> str:
    found = {path.relative_to(directory).as_posix(): path for path in paths if path.is_file()}
    lines = (f"{sha256_of(stop, path)}  {name}\n" for name, path in sorted(found.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _external_data(file: Path) -> Iterator[Path]:
    """The files beside an ONNX model that hold its tensors."""
    beside = {
        path.relative_to(file.parent).as_posix(): path for path in file.parent.rglob("*") if path.is_file()
    }
    del beside[file.name]
    if not beside:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for entry in _LOCATION.finditer(content):
            length = (entry["low"][0] & 0x7F) + (entry["high"][0] << 7 if entry["high"] else 0)
            location = content[entry.end() : entry.end() + length].decode(errors="replace")
            if path := beside.get(normpath(location)):  # onnxruntime takes ./weights, too
                yield path

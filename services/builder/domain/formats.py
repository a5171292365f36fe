"""Which format a file is in, told by its content and never by its name."""

from __future__ import annotations

import bz2
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from so1s.events.model import Format

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# The fields of ModelProto by number, with their wire types: onnx/onnx.proto, MIT-licensed.
_MODEL_PROTO = {
    1: _VARINT,  # ir_version
    2: _BYTES,  # producer_name
    3: _BYTES,  # producer_version
    4: _BYTES,  # domain
    5: _VARINT,  # model_version
    6: _BYTES,  # doc_string
    7: _BYTES,  # graph
    8: _BYTES,  # opset_import
    14: _BYTES,  # metadata_props
    20: _BYTES,  # training_info
    25: _BYTES,  # functions
    26: _BYTES,  # configuration
}
_IR_VERSION, _GRAPH, _OPSET_IMPORT = 1, 7, 8
_MOST_FIELDS = 100_000
_LARGEST_SCHEMA_BYTES = 64 * 1024 * 1024

# An object whose first key is `learner`. In UBJSON, `L` and eight bytes tell the length of a key:
# https://ubjson.org/type-reference/
_XGBOOST = re.compile(rb'\{(L\0{7}\x07learner\{|\s*"learner"\s*:)')
_START_BYTES = 64
_END_BYTES = 1024 * 1024  # LightGBM writes its parameters and a line a feature behind the trees


def recognise(file: IO[bytes]) -> Format | None:
    """The format of a seekable file; None for any other content, and for a file that is cut short."""
    return next((name for name, is_one in _RECOGNISERS.items() if is_one(file)), None)


def is_xgboost(file: IO[bytes]) -> bool:
    """Whether this is XGBoost's JSON or UBJSON, from the first brace to the last."""
    file.seek(0)
    if not _XGBOOST.match(file.read(_START_BYTES)):
        return False
    end = _end(file)
    return end.rstrip().endswith(b"}") and b"version" in end


def is_lightgbm(file: IO[bytes]) -> bool:
    """Whether this is LightGBM's text with all its trees."""
    file.seek(0)
    return file.read(_START_BYTES).startswith(b"tree\nversion=v") and b"\nend of trees\n" in _end(file)


def _end(file: IO[bytes]) -> bytes:
    file.seek(max(0, file.seek(0, 2) - _END_BYTES))
    return file.read()


def is_skops(file: IO[bytes]) -> bool:
    """Whether this is a zip whose `schema.json` names a loader and a protocol."""
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo("schema.json").file_size > _LARGEST_SCHEMA_BYTES:
                return False
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, OSError, EOFError):
        return False
    return isinstance(schema, dict) and {"__loader__", "protocol"} <= schema.keys()


def is_pickle(file: IO[bytes]) -> bool:
    """Whether this is a pickle, also as joblib compresses it: told by its first opcode, and its last."""
    file.seek(0)
    start = file.read(_START_BYTES)
    if _PICKLE.match(start):
        return _end(file).endswith(b".")
    decompressor = next((make for magic, make in _DECOMPRESSORS.items() if start.startswith(magic)), None)
    # Whether it is whole is seen when it is read.
    return decompressor is not None and _begins_pickle(start + file.read(_BLOCK_BYTES), decompressor())


_BLOCK_BYTES = 1024 * 1024  # bzip2 gives nothing before a whole block
_PICKLE = re.compile(rb"\x80[\x02-\x05]")  # PROTO 2 to 5: https://docs.python.org/3/library/pickletools.html
_DECOMPRESSORS: Mapping[bytes, Callable[[], Any]] = {
    b"\x78": zlib.decompressobj,
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\x00": lzma.LZMADecompressor,
}


def _begins_pickle(start: bytes, decompressor: Any) -> bool:
    try:
        return bool(_PICKLE.match(decompressor.decompress(start, 2)))
    except (zlib.error, OSError, lzma.LZMAError, ValueError, EOFError):
        return False


def is_onnx(file: IO[bytes]) -> bool:
    """Whether this is a ModelProto with a graph: all its top-level fields are known, and all are whole."""
    size = file.seek(0, 2)
    file.seek(0)
    found: set[int] = set()
    try:
        for field, wire_type in _fields(file, size):
            if _MODEL_PROTO.get(field) != wire_type:
                return False
            found.add(field)
    except ValueError:
        return False
    return {_IR_VERSION, _GRAPH, _OPSET_IMPORT} <= found


def _fields(file: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Number and wire type of each top-level field; raises ValueError where a field is not whole."""
    for _ in range(_MOST_FIELDS):
        if file.tell() == size:
            return
        field, wire_type = divmod(_varint(file), 8)
        yield field, wire_type
        length = _varint(file) if wire_type in {_VARINT, _BYTES} else 0
        skipped = {_VARINT: 0, _BYTES: length, _FIXED64: 8, _FIXED32: 4}.get(wire_type)
        if skipped is None or file.tell() + skipped > size:
            raise ValueError("not a protobuf message")
        file.seek(skipped, 1)
    raise ValueError("too many fields")


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:  # noqa: PLR2004 - the bit that says whether more follow
            return value
    raise ValueError("no varint")


_RECOGNISERS: Mapping[Format, Callable[[IO[bytes]], bool]] = {
    "skops": is_skops,
    "xgboost": is_xgboost,
    "lightgbm": is_lightgbm,
    "onnx": is_onnx,
    "pickle": is_pickle,
}

"""Which format a file is in, told by its content and never by its name."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any

from so1s.events.model import Format
from so1s.formats.protobuf import BYTES, VARINT, top_level
from so1s.formats.zips import recognise_zip

# The fields of ModelProto by number, with their wire types: onnx/onnx.proto, MIT-licensed.
_MODEL_PROTO = {
    1: VARINT,  # ir_version
    2: BYTES,  # producer_name
    3: BYTES,  # producer_version
    4: BYTES,  # domain
    5: VARINT,  # model_version
    6: BYTES,  # doc_string
    7: BYTES,  # graph
    8: BYTES,  # opset_import
    14: BYTES,  # metadata_props
    20: BYTES,  # training_info
    25: BYTES,  # functions
    26: BYTES,  # configuration
}
_IR_VERSION, _GRAPH, _OPSET_IMPORT = 1, 7, 8

# An object whose first key is `learner`. In UBJSON, `L` and eight bytes tell the length of a key:
# https://ubjson.org/type-reference/
_XGBOOST = re.compile(rb'\{(L\0{7}\x07learner\{|\s*"learner"\s*:)')
_START_BYTES = 64
_END_BYTES = 1024 * 1024  # LightGBM writes its parameters and a line a feature behind the trees


def recognise(file: IO[bytes]) -> Format | None:
    """The format of a seekable file; None for any other content, and for a file that is cut short.

    Raises:
        Oversized: it is a zip archive that is meant to fill the memory.
    """
    if found := recognise_zip(file):
        return found
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
    return {_IR_VERSION, _GRAPH, _OPSET_IMPORT} <= top_level(file, _MODEL_PROTO)


_RECOGNISERS: Mapping[Format, Callable[[IO[bytes]], bool]] = {
    "xgboost": is_xgboost,
    "lightgbm": is_lightgbm,
    "onnx": is_onnx,
    "pickle": is_pickle,
}

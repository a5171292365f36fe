"""A value of each IO type: as callers write it in each way, and what the models of `models` make of it."""

import base64
import io
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

_DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}


@dataclass(frozen=True)
class Tensor:
    """What the Open Inference Protocol has for a value, or for a column of one.

    Its words are bytes; those of a file are base64 in JSON, others are texts there. None is what is missing.
    """

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]
    is_file: bool = False

    @property
    def head(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape}

    @property
    def json(self) -> dict[str, Any]:
        write = base64.b64encode if self.is_file else bytes
        words = [write(each).decode() if isinstance(each, bytes) else each for each in self.data]
        return self.head | {"data": words}

    @property
    def raw(self) -> bytes:
        """As binary data: a word is its length and then itself."""
        if self.datatype == "BYTES":
            return b"".join(struct.pack("<I", len(word)) + word for word in self.data)
        return np.array(self.data, _DTYPES[self.datatype]).tobytes()

    def of_json(self, said: dict[str, Any]) -> "Tensor":
        """What an answer says in the place of this one."""
        read = base64.b64decode if self.is_file else str.encode
        data = [read(each) if isinstance(each, str) else each for each in said["data"]]
        return replace(self, datatype=said["datatype"], shape=said["shape"], data=data)

    def of_raw(self, shape: Sequence[int], raw: bytes) -> "Tensor":
        """Likewise, of binary data."""
        if self.datatype == "BYTES":
            data: list[Any] = []
            while raw:
                (size,) = struct.unpack_from("<I", raw)
                data, raw = [*data, raw[4 : 4 + size]], raw[4 + size :]
        else:
            numbers = np.frombuffer(raw, _DTYPES[self.datatype]).tolist()
            data = [None if math.isnan(each) else each for each in numbers]
        return replace(self, shape=list(shape), data=data)


@dataclass(frozen=True)
class Value:
    """One value and what becomes of it."""

    declared: dict[str, Any]
    declared_out: dict[str, Any]
    json: Any
    answer: Any
    tensors: list[Tensor]
    answer_tensors: list[Tensor]
    part: tuple[str | None, bytes, str]
    """Of a form: a file's name, its bytes and their type."""
    media: str = ""
    """The type of a body that is no JSON, both ways; empty where there is none."""
    answer_raw: bytes = field(default=b"", repr=False)

    @property
    def raw(self) -> bytes:
        return self.part[1]


def _words(name: str, word: bytes, *, is_file: bool = False) -> list[Tensor]:
    return [Tensor(name, "BYTES", [1], [word], is_file)]


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(raw: bytes) -> list[Any]:
    """Of an answer: one image may be many files."""
    with Image.open(io.BytesIO(raw)) as picture:
        assert picture.format == "PNG"
        return np.array(picture).tolist()


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_QUERY, _QUERIED = {"a": [1, None, "né"]}, {"seen": {"a": [1, None, "né"]}}
_TEXT, _LOUD = "né, \r\n--", "NÉ, \r\n--"
_FILE = bytes(range(256)) * 3
FILE_BYTES = 20_000_000
"""What a file may have: more than the 16 MiB of a body where nothing is declared."""
_PHOTO = [[[255, 0, 0], [0, 128, 0]]]
_NEGATIVE = [[[0, 255, 255], [255, 127, 255]]]
_COLUMNS = [
    {"name": "amount", "dtype": "float64", "nullable": True},
    {"name": "count", "dtype": "int64"},
    {"name": "country", "dtype": "string"},
]
_ROWS = [{"amount": 1.5, "count": 2, "country": "NO"}, {"amount": None, "count": 3, "country": "Å, B"}]
_COLUMN_TENSORS = [
    Tensor("amount", "FP64", [2], [1.5, None]),
    Tensor("count", "INT64", [2], [2, 3]),
    Tensor("country", "BYTES", [2], [b"NO", "Å, B".encode()]),
]

VALUES: dict[str, Value] = {
    "numpy": Value(
        declared={"dtype": "float32", "shape": [-1, 2]},
        declared_out={"dtype": "float32", "shape": [-1, 2]},
        json=[[1, 2.5], [3, 4]],
        answer=[[2, 5], [6, 8]],
        tensors=[Tensor("numpy", "FP32", [2, 2], [1, 2.5, 3, 4])],
        answer_tensors=[Tensor("numpy_out", "FP32", [2, 2], [2, 5, 6, 8])],
        part=(None, b"[[1, 2.5], [3, 4]]", "application/json"),
    ),
    "json": Value(
        declared={},
        declared_out={},
        json=_QUERY,
        answer=_QUERIED,
        tensors=_words("json", json.dumps(_QUERY).encode()),
        answer_tensors=_words("json_out", '{"seen":{"a":[1,null,"né"]}}'.encode()),
        part=("query.json", json.dumps(_QUERY).encode(), "application/json"),
    ),
    "text": Value(
        declared={},
        declared_out={},
        json=_TEXT,
        answer=_LOUD,
        tensors=_words("text", _TEXT.encode()),
        answer_tensors=_words("text_out", _LOUD.encode()),
        part=(None, _TEXT.encode(), "text/plain"),
        media="text/plain",
        answer_raw=_LOUD.encode(),
    ),
    "file": Value(
        declared={"max_bytes": FILE_BYTES},
        declared_out={},
        json=base64_of(_FILE),
        answer=base64_of(_FILE[::-1]),
        tensors=_words("file", _FILE, is_file=True),
        answer_tensors=_words("file_out", _FILE[::-1], is_file=True),
        part=("document.bin", _FILE, "application/octet-stream"),
        media="application/octet-stream",
        answer_raw=_FILE[::-1],
    ),
    "image": Value(
        declared={},
        declared_out={},
        json=base64_of(png(_PHOTO)),
        answer=base64_of(png(_NEGATIVE)),
        tensors=_words("image", png(_PHOTO), is_file=True),
        answer_tensors=_words("image_out", png(_NEGATIVE), is_file=True),
        part=("photo.png", png(_PHOTO), "image/png"),
        media="image/png",
        answer_raw=png(_NEGATIVE),
    ),
    "dataframe": Value(
        declared={"columns": _COLUMNS},
        declared_out={"columns": [*_COLUMNS, {"name": "total", "dtype": "float64", "nullable": True}]},
        json=_ROWS,
        answer=[_ROWS[0] | {"total": 3.5}, _ROWS[1] | {"total": None}],
        tensors=_COLUMN_TENSORS,
        answer_tensors=[*_COLUMN_TENSORS, Tensor("total", "FP64", [2], [3.5, None])],
        part=("rows.csv", 'country,amount,count\nNO,1.5,2\n"Å, B",,3\n'.encode(), "text/csv"),
        media="text/csv",
        answer_raw='amount,count,country,total\r\n1.5,2,NO,3.5\r\n,3,"Å, B",\r\n'.encode(),
    ),
    "series": Value(
        declared={"dtype": "float32"},
        declared_out={"dtype": "float32"},
        json=[1, 2.5],
        answer=[2, 5],
        tensors=[Tensor("series", "FP32", [2], [1, 2.5])],
        answer_tensors=[Tensor("series_out", "FP32", [2], [2, 5])],
        part=("prices.csv", b"series\n1\n2.5\n", "text/csv"),
        media="text/csv",
        answer_raw=b"series_out\r\n2.0\r\n5.0\r\n",
    ),
}

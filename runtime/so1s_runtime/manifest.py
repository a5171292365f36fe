"""The manifest `model.json`: what a model directory holds, and what goes into and comes out of the model.

    {"schema": "so1s-model/v1",
     "name": "fraud", "version": "3",
     "format": "skops", "file": "model.skops",
     "inputs":  [{"name": "x", "dtype": "float32", "shape": [-1, 30]}],
     "outputs": [{"name": "label", "dtype": "int64", "shape": [-1]}],
     "sample": "sample.json",
     "batching": {"max_rows": 64, "max_delay_ms": 2}}

`format` names a loader. `file` and `sample` are paths inside the directory; `sample`, which may be missing,
holds a body of `POST /predict`. A dtype is NumPy's name, or `string`. In a shape, -1 is any length ≥ 1;
axis 0 is the batch. `batching` goes before the server's settings of it. An input or output may have a
`type`, as `declared` tells. Unknown fields are ignored.
While an image is built, `inputs` and `outputs` may be missing together: the model itself is asked then.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from so1s_runtime.declared import DeclaredSignature, declared_list
from so1s_runtime.errors import ModelError
from so1s_runtime.signature import Signature, TensorSpec

__all__ = ["FILE_NAME", "FORMATS", "SCHEMA", "Manifest", "Signature", "TensorSpec", "parse", "read"]

SCHEMA = "so1s-model/v1"
FILE_NAME = "model.json"
FORMATS = (
    "onnx",
    "skops",
    "xgboost",
    "lightgbm",
    "keras",
    "tensorflow",
    "torch",
    "torchscript",
    "transformers",
    "python",
    "pickle",
)

_MOST_ROWS = 100_000
_LONGEST_DELAY_MS = 10_000

_LABEL = re.compile(r"[A-Za-z0-9._-]{1,63}")


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests that wait share a call of the model: rows at most, and how long it waits for more."""

    max_rows: int | None = None
    max_delay_ms: float | None = None

    def to_dict(self) -> dict[str, float]:
        """What is said of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One `model.json`."""

    name: str
    version: str
    format: str
    file: str
    signature: Signature
    sample: str | None = None
    batching: Batching = Batching()
    # Where an input or output is no plain tensor: what the author declared. `signature` has it as tensors.
    declared: DeclaredSignature | None = None

    def to_json(self) -> bytes:
        """The bytes of `model.json`; `parse` is the inverse."""
        fields = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "format": self.format,
            "file": self.file,
            **(self.declared or self.signature).to_dict(),
            **({"sample": self.sample} if self.sample else {}),
            **({"batching": batching} if (batching := self.batching.to_dict()) else {}),
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# The format and the file of a model whose manifest does not say what goes in and out → what it tells itself.
Ask = Callable[[str, str], Signature]


def read(directory: Path, ask: Ask | None = None) -> Manifest:
    """Read the manifest of a model directory.

    Raises ModelError, which names every problem at once.
    """
    path = directory / FILE_NAME
    try:
        return parse(path.read_bytes(), ask)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def parse(raw: bytes, ask: Ask | None = None) -> Manifest:
    """Decode a manifest.

    Raises ModelError, which names every problem at once.
    """
    fields = _Fields(_json_object(raw))
    fields.take("schema", _schema)
    name, version = fields.take("name", _label), fields.take("version", _label)
    model_format, file = fields.take("format", _format), fields.take("file", _inner_path)
    if ask and not fields.problems and fields.values.keys().isdisjoint({"inputs", "outputs"}):
        fields.values |= ask(model_format, file).to_dict()
    inputs, outputs = fields.take("inputs", declared_list), fields.take("outputs", declared_list)
    sample = fields.take("sample", _inner_path) if "sample" in fields.values else None
    batching = fields.take("batching", _batching)
    if fields.problems:
        raise ModelError(f"{FILE_NAME}: {'; '.join(fields.problems)}")
    declared = DeclaredSignature(inputs, outputs)
    return Manifest(
        name=name,
        version=version,
        format=model_format,
        file=file,
        signature=declared.tensors,
        sample=sample,
        batching=batching,
        declared=None if declared.is_plain else declared,
    )


class _Fields:
    """Takes checked fields out of a JSON object and gathers the problems."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.problems: list[str] = []

    def take(self, name: str, check: Callable[[Any], Any]) -> Any:
        try:
            return check(self.values.get(name))
        except ValueError as error:
            self.problems.append(f"{name} {error}")


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        values = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ModelError(f"{FILE_NAME} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{FILE_NAME} must hold a JSON object")
    return values


def _schema(value: Any) -> None:
    if value != SCHEMA:
        raise ValueError(f"must be {SCHEMA!r}, is {value!r}")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a non-empty string, is {value!r}")
    return value


def _label(value: Any) -> str:
    """It stands in paths and headers."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise ValueError(f"must be 1 to 63 of A-Z a-z 0-9 . _ -, is {value!r}")
    return value


def _format(value: Any) -> str:
    if value not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}, is {value!r}")
    return value


def _batching(value: Any) -> Batching:
    said = value or {}
    if not isinstance(said, dict):
        raise ValueError(f"must be an object, is {value!r}")  # noqa: TRY004 - as all that is wrong with a field
    rows, delay = said.get("max_rows"), said.get("max_delay_ms")
    if not (rows is None or (type(rows) is int and 1 <= rows <= _MOST_ROWS)):
        raise ValueError(f"max_rows must be a whole number from 1 to {_MOST_ROWS}, is {rows!r}")
    if not (delay is None or (type(delay) in (int, float) and 0 <= delay <= _LONGEST_DELAY_MS)):
        raise ValueError(f"max_delay_ms must be a number from 0 to {_LONGEST_DELAY_MS}, is {delay!r}")
    return Batching(rows, delay)


def _inner_path(value: Any) -> str:
    path = PurePosixPath(_text(value))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"must lie inside the model directory, is {value!r}")
    return value

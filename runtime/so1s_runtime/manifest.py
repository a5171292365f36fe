"""The manifest `model.json`: what a model directory holds, and what goes into and comes out of the model.

    {"schema": "so1s-model/v1",
     "name": "fraud", "version": "3",
     "format": "skops", "file": "model.skops",
     "inputs":  [{"name": "x", "dtype": "float32", "shape": [-1, 30]}],
     "outputs": [{"name": "label", "dtype": "int64", "shape": [-1]}],
     "sample": "sample.json"}

`format` names a loader. `file` and `sample` are paths inside the directory; `sample`, which may be missing,
holds a body of `POST /predict`. A dtype is NumPy's name, or `string`. In a shape, -1 is any length ≥ 1;
axis 0 is the batch. Unknown fields are ignored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from so1s_runtime.dtypes import DTYPES, Dtype
from so1s_runtime.errors import ModelError

SCHEMA = "so1s-model/v1"
FILE_NAME = "model.json"
FORMATS = ("onnx", "skops", "xgboost", "lightgbm", "python")

_LABEL = re.compile(r"[A-Za-z0-9._-]{1,63}")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and shape of one input or output; -1 in `shape` is any length ≥ 1."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """As people read it: `float32[-1,30]`."""
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

    @property
    def has_batch_axis(self) -> bool:
        """Whether axis 0 takes any number of rows."""
        return self.shape[:1] == (-1,)

    def to_dict(self) -> dict[str, Any]:
        """The form that `model.json` holds."""
        return {"name": self.name, "dtype": self.dtype.name, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a model and what comes out, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_dict(self) -> dict[str, Any]:
        """The two fields as `model.json` holds them."""
        return {
            "inputs": [spec.to_dict() for spec in self.inputs],
            "outputs": [spec.to_dict() for spec in self.outputs],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One `model.json`."""

    name: str
    version: str
    format: str
    file: str
    signature: Signature
    sample: str | None = None

    def to_json(self) -> bytes:
        """The bytes of `model.json`; `parse` is the inverse."""
        fields = {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "format": self.format,
            "file": self.file,
            **self.signature.to_dict(),
            **({"sample": self.sample} if self.sample else {}),
        }
        return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(directory: Path) -> Manifest:
    """Read the manifest of a model directory.

    Raises ModelError, which names every problem at once.
    """
    path = directory / FILE_NAME
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def parse(raw: bytes) -> Manifest:
    """Decode a manifest.

    Raises ModelError, which names every problem at once.
    """
    fields = _Fields(_json_object(raw))
    fields.take("schema", _schema)
    manifest = Manifest(
        name=fields.take("name", _label),
        version=fields.take("version", _label),
        format=fields.take("format", _format),
        file=fields.take("file", _inner_path),
        signature=Signature(fields.take("inputs", _specs), fields.take("outputs", _specs)),
        sample=fields.take("sample", _inner_path) if "sample" in fields.values else None,
    )
    if fields.problems:
        raise ModelError(f"{FILE_NAME}: {'; '.join(fields.problems)}")
    return manifest


class _Fields:
    """Takes checked fields out of a JSON object and gathers the problems."""

    def __init__(self, values: Mapping[str, Any]) -> None:
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


def _inner_path(value: Any) -> str:
    path = PurePosixPath(_text(value))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"must lie inside the model directory, is {value!r}")
    return value


def _specs(values: Any) -> tuple[TensorSpec, ...]:
    if not isinstance(values, list) or not values:
        raise ValueError("must be a list of at least one {name, dtype, shape}")
    specs = tuple(_spec(value) for value in values)
    if len({spec.name for spec in specs}) < len(specs):
        raise ValueError("must have distinct names")
    return specs


def _spec(value: Any) -> TensorSpec:
    if not isinstance(value, dict):
        raise ValueError(f"must hold objects {{name, dtype, shape}}, holds {value!r}")  # noqa: TRY004 - gathered with the other problems
    dtype, shape = value.get("dtype"), value.get("shape")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"has dtype {dtype!r}, must be one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(_is_length(length) for length in shape):
        raise ValueError(f"has shape {shape!r}, must be a list of lengths ≥ 1, or -1 for any")
    return TensorSpec(_text(value.get("name")), DTYPES[dtype], tuple(shape))


def _is_length(value: Any) -> bool:
    return type(value) is int and (value == -1 or value >= 1)

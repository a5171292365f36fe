"""`so1s.yaml`: what a model's author says of it, beside the model.

    schema: so1s/v1
    format: skops
    file: model.skops
    inputs:  [{name: x, dtype: float32, shape: [-1, 30]}]
    outputs: [{name: label, dtype: int64, shape: [-1]}]
    sample: sample.json
    requirements: [scikit-learn==1.7.2, pandas>=2]
    optimize: onnx
    batching: {max_rows: 64, max_delay_ms: 2}
    data: [{name: transactions, uri: s3://ml/risk/transactions/2029/, license: proprietary}]
    deploy: {resources: {memory_mib: 1024}, scaling: {max_replicas: 4}}
    alerts: [{availability_below: 0.99, for_seconds: 300}]

Only `schema` must be there; what is absent is found in the model or has a default. The file names no account,
model or version, so that the same directory can be published as any.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from so1s.errors import InvalidInput
from so1s.events import AlertRule, DeployOptions, Signature, Value
from so1s.events.model import CODE, COMPILABLE, Format, Optimization
from so1s.modelfile_tensors import DeclaredTensor
from so1s.requirements import Requirements

FILE_NAME = "so1s.yaml"
MAX_BYTES = 64 * 1024


def _inner(path: str) -> str:
    pure = PurePosixPath(path)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError("allowed: a path within the model's directory, such as model.skops")
    return str(pure)


InnerPath = Annotated[str, AfterValidator(_inner), Field(json_schema_extra={"pattern": r"^[^/\\][^\\]*$"})]


def _distinct(declared: list[DeclaredTensor]) -> list[DeclaredTensor]:
    names = [name for each in declared for name in (each.name, *(column.name for column in each.columns))]
    if len(set(names)) < len(names):
        raise ValueError("allowed: distinct names, those of columns included")
    return declared


Declared = Annotated[list[DeclaredTensor], Field(min_length=1), AfterValidator(_distinct)]


def _packages(lines: list[str]) -> list[str]:
    try:
        Requirements.of((str(number), line) for number, line in enumerate(lines))
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return lines


Packages = Annotated[list[str], AfterValidator(_packages)]


DECLARED: tuple[Format, ...] = ("python", "torchscript")
"""The formats of models that cannot be asked what goes in and out."""

FORMATS = "x-so1s-formats"
"""The keyword of a field's schema that tells for which formats it is."""


def _for(formats: Sequence[Format], *, must: bool = False) -> Any:
    said = ", ".join(formats)
    return Field(json_schema_extra={FORMATS: f"all; **required** of {said}" if must else said})


def _both_or_neither(schema: dict[str, Any]) -> None:
    """What `ModelFile.parse` asks of inputs and outputs, for those who read the schema."""

    def with_the_other(one: str, other: str) -> dict[str, Any]:
        is_said = {one: {"type": "array"}}
        return {
            "if": {"required": [one], "properties": is_said},
            "then": {"required": [other], "properties": {other: {"type": "array"}}},
        }

    schema["allOf"] = [with_the_other("inputs", "outputs"), with_the_other("outputs", "inputs")]


class Batching(Value):
    """How requests of a replica that wait share a call of the model."""

    max_rows: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Rows of one call at most; 1 shares none."""
    max_delay_ms: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """How long a call waits for more rows, in milliseconds; each caller waits as long."""


def _check_uri(uri: str) -> str:
    if not uri.isprintable() or " " in uri:
        raise ValueError("allowed: a URI without spaces, such as s3://ml/risk/transactions/2029/")
    return uri


class DataSet(Value):
    """Data that the model was made of, as its author declares it: nobody reads it."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What people call it."""
    uri: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_check_uri)] | None = None
    """Where it lies."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Of its bytes, where it is one file."""
    license: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """On which terms it may be used: an SPDX expression, or words."""


def _distinct_data(data: list[DataSet]) -> list[DataSet]:
    if len({each.name for each in data}) < len(data):
        raise ValueError("allowed: distinct names")
    return data


class ModelFile(Value):
    """What a model's author says of it, in a file beside the model."""

    model_config = ConfigDict(serialize_by_alias=True, title=FILE_NAME, json_schema_extra=_both_or_neither)

    schema_version: Literal["so1s/v1"] = Field(alias="schema")
    """The version of these fields."""
    format: Format | None = None
    """Recognised from the bytes where it is absent."""
    file: InnerPath | None = None
    """The model, a path within this directory; needed only where several files could be it."""
    inputs: Annotated[Declared | None, _for(DECLARED, must=True)] = None
    """What the model takes; without inputs and outputs it is asked, and with one of them the other is due."""
    outputs: Annotated[Declared | None, _for(DECLARED, must=True)] = None
    """What the model answers."""
    sample: InnerPath | None = None
    """A body of `POST /predict`, JSON unless its name tells of another type: for the warm-up call, and for
    `so1s predict --sample`."""
    requirements: Annotated[Packages | None, _for(CODE)] = None
    """The packages that the author's code needs, in place of a `requirements.txt` beside it."""
    optimize: Annotated[Optimization | None, _for(COMPILABLE)] = None
    """`onnx` compiles the model while its image is built, and leaves its library out of that; `none` is for
    every format, and what happens where nothing is said."""
    batching: Batching | None = None
    """How requests that wait share a call, where the model gains by it, which its server tries first."""
    data: Annotated[list[DataSet], Field(max_length=100), AfterValidator(_distinct_data)] = []
    """What the model was trained on and measured with, for the image's bill of materials and provenance."""
    deploy: DeployOptions = DeployOptions()
    """What shall become of the image, as far as the event does not say it."""
    alerts: list[AlertRule] = []
    """When its author wants to be told, where the event does not say it."""

    @property
    def signature(self) -> Signature | None:
        """The declared signature; None where the model is asked for it."""
        if self.inputs is None:
            return None
        return Signature.model_validate(self.model_dump(include={"inputs", "outputs"}))

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the bytes of a `so1s.yaml`.

        Raises:
            InvalidInput: each field that breaks a rule, its value and what is allowed.
        """
        if len(text) > MAX_BYTES:
            raise InvalidInput.of(FILE_NAME, f"{len(text)} bytes", f"allowed: at most {MAX_BYTES} bytes")
        try:
            described = cls.model_validate(_mapping(text))
        except ValidationError as error:
            raise InvalidInput.from_pydantic(error, cls) from error
        if (described.inputs is None) != (described.outputs is None):
            absent = "inputs" if described.inputs is None else "outputs"
            raise InvalidInput.missing(absent, "allowed: inputs and outputs together, or neither")
        return described

    def to_yaml(self) -> str:
        """The text of the file, without what is not said; `parse` is the inverse."""
        said = self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        return yaml.safe_dump({"schema": self.schema_version} | said, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


def _mapping(text: bytes) -> dict[str, Any]:
    try:
        values = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a 13th month; a thousand brackets
        raise _no_yaml(error) from error
    if not isinstance(values, dict):
        raise InvalidInput.of(FILE_NAME, values, "allowed: a mapping that starts with `schema: so1s/v1`")
    return values


def _no_yaml(error: Exception) -> InvalidInput:
    mark = getattr(error, "problem_mark", None)
    place = f"{FILE_NAME} line {mark.line + 1} column {mark.column + 1}" if mark else FILE_NAME
    problem = getattr(error, "problem", None) or "it cannot be read"
    return InvalidInput.fault(place, problem, "allowed: YAML without aliases")

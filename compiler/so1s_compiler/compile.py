"""`python -m so1s_compiler.compile DIRECTORY`: compile the model of a directory that a manifest describes.

Prints the ONNX file in lines of `onnx ` and base64, then one JSON object that tells of it, see `Compiled`;
`{"error": "..."}` and exit code 1 if the model cannot be compiled, or answers otherwise than its library.
"""

import base64
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, cast

import orjson
from onnx import ModelProto

from so1s_compiler import COMPILER, LINE, __version__
from so1s_compiler.agreement import Allowance
from so1s_compiler.errors import CannotCompile
from so1s_compiler.graph import Way
from so1s_compiler.trial import Agreement, Disagreement, hold
from so1s_runtime import manifest as manifests
from so1s_runtime import model as models
from so1s_runtime.errors import ModelError
from so1s_runtime.manifest import Manifest, Signature
from so1s_runtime.model import Model

_LINE_BYTES = 2880  # below 4000 characters in base64, where readers cut
_MODULES = {
    "skops": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "keras": "keras",
    "torch": "torch",
}


class Compiler(Protocol):
    """A module that compiles one format."""

    ALLOWANCE: Allowance
    LIBRARY: str
    COMPILER: str

    def ways(self, path: Path, signature: Signature) -> Iterator[Way]:
        """The ways to write the model of a file, the most exact first. Raises ModelError."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """What was compiled, and how near its answers are."""

    library: str
    """Whose model it was: `scikit-learn 1.9.1`."""
    compiler: str
    """What wrote the ONNX: `skl2onnx 1.20.0`."""
    rows: int
    """That both answered."""
    sample_rows: int
    """How many of them were the author's."""
    difference: float
    """The largest, by what is allowed at its place."""
    place: str
    """Where it was, such as `probabilities[17,2]`."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    (directory,) = arguments
    try:
        data, found = compiled(Path(directory))
    except ModelError as error:
        print(orjson.dumps({"error": str(error)}).decode())  # noqa: T201 - a command's output
        return 1
    for start in range(0, len(data), _LINE_BYTES):
        print(f"{LINE}{base64.b64encode(data[start : start + _LINE_BYTES]).decode()}")  # noqa: T201
    print(orjson.dumps(asdict(found)).decode())  # noqa: T201 - see above
    return 0


def compiled(directory: Path) -> tuple[bytes, Compiled]:
    """Compile the model of a directory.

    Raises:
        ModelError: it cannot be loaded or compiled, or answers otherwise than its library.
    """
    manifest = manifests.read(directory)
    if manifest.format not in _MODULES:
        raise CannotCompile(f"{manifest.format} is not compiled; {', '.join(_MODULES)} are")
    _require_arrays(manifest)
    module = cast("Compiler", import_module(f"so1s_compiler.{_MODULES[manifest.format]}"))
    library = models.load(manifest, directory, threads=1)
    problems: list[ModelError] = []
    for way in module.ways(directory / manifest.file, manifest.signature):
        try:
            data, agreement = _attempt(way, library, directory, module.ALLOWANCE)
        except ModelError as problem:
            problems.append(problem)
        else:
            return data, _told(module, agreement)
    # How far it is off says more than that another way does not exist.
    raise next((each for each in problems if isinstance(each, Disagreement)), problems[0])


def _require_arrays(manifest: Manifest) -> None:
    """Raise CannotCompile unless the model takes arrays, of which no number is missing."""
    if manifest.declared or any(spec.nullable for spec in manifest.signature.inputs):
        raise CannotCompile("a model is compiled where its inputs are arrays, without missing values")


def _attempt(way: Way, library: Model, directory: Path, allowance: Allowance) -> tuple[bytes, Agreement]:
    onnx = way()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        data = _serialized(onnx)
        path.write_bytes(data)
        return data, hold(onnx, path, library, directory, allowance)


def _serialized(onnx: ModelProto) -> bytes:
    try:
        return onnx.SerializeToString(deterministic=True)
    except Exception as error:  # its type depends on how protobuf was built
        raise CannotCompile(
            f"the compiled model cannot be written, as one file up to 2 GiB: {error}"
        ) from error


def _told(module: Compiler, agreement: Agreement) -> Compiled:
    return Compiled(
        library=_with_version(module.LIBRARY),
        compiler=_with_version(module.COMPILER),
        rows=agreement.rows,
        sample_rows=agreement.sample_rows,
        difference=agreement.difference.size,
        place=agreement.difference.place,
    )


def _with_version(package: str) -> str:
    """The builder lends this package without an installer's metadata."""
    return f"{package} {__version__ if package == COMPILER else version(package)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

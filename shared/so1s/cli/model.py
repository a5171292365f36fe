"""`so1s model`: describe a model beside its file, and check the description."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from so1s import prepared, requirements
from so1s.cli.terminal import terminal
from so1s.errors import InvalidInput, So1sError
from so1s.events.model import COMPILABLE, Format
from so1s.modelfile import FILE_NAME, ModelFile
from so1s.requirements import Requirements
from so1s.suffixes import TELLING

app = typer.Typer(no_args_is_help=True, help="Describe a model and check the description.")

_ARCHIVES = {".skops": "skops", ".keras": "Keras", ".pt2": "PyTorch", ".pt": "PyTorch"}
_LIGHTGBM = b"tree\nversion="
_DIRECTORIES: dict[str, Format] = {"saved_model.pb": "tensorflow", "config.json": "transformers"}
"""Models that are directories, by the file that each has."""


class CheckFailed(So1sError):
    """A model's description does not hold."""


@app.command()
def init(context: typer.Context, path: Path) -> None:
    """Write so1s.yaml beside a model. Give its directory or the model itself."""
    model = _model_of(path)
    target = model.parent / FILE_NAME
    if target.exists():
        raise InvalidInput.of("path", str(target), f"allowed: a directory without {FILE_NAME}")
    is_code = model.name == prepared.FILE_NAME
    template = _CODE_TEMPLATE if is_code else _TEMPLATE
    target.write_text(template.format(format=_format_of(model), file=model.name))
    screen = terminal(context)
    screen.show({"written": str(target)}, lambda _: Text.assemble(("✓ ", "green"), f"{target}"))
    if not screen.is_json:
        if is_code:
            screen.note("say in it what goes into run() and what comes out: the lines there are an example")
        place = shlex.quote(str(model.parent))
        screen.note(f"so1s model check {place}; then: so1s publish {place} --model NAME --wait")


@app.command()
def check(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="The model's directory.")]
) -> None:
    """Check so1s.yaml and the files that it names. Prints what it says of inputs and outputs.

    Of user code it looks at prepared.py without running it, and at requirements.txt.
    """
    described = checked(path)
    terminal(context).show(described, _shown)


def checked(path: Path) -> ModelFile:
    """The description of a model's directory.

    Raises:
        CheckFailed: there is none, it breaks a rule, or it names a file that is not there.
    """
    file = path / FILE_NAME
    if not file.is_file():
        raise CheckFailed(f"{file} does not exist; so1s model init {path} writes it")
    try:
        described = ModelFile.parse(file.read_bytes())
    except InvalidInput as error:
        raise CheckFailed("\n  ".join([f"{file}:", *map(str, error.problems)])) from error
    for field, name in (("file", described.file), ("sample", described.sample)):
        if name and not (path / name).exists():
            raise CheckFailed(f"{file}: {field}: {name!r} is not there")
    _require_archive(file, described)
    if _is_code(path, described):
        _require_contract(file, described)
    if described.optimize == "onnx" and described.format not in {None, *COMPILABLE}:
        allowed = f"models of {', '.join(COMPILABLE)} are compiled; leave it out"
        raise CheckFailed(f"{file}: optimize: 'onnx' is not for a model of {described.format}: {allowed}")
    return described


def _is_code(path: Path, described: ModelFile) -> bool:
    """As the builder tells it: prepared.py is the model, unless another file or format is said."""
    if described.file or described.format:
        return described.format == "python" or described.file == prepared.FILE_NAME
    return (path / prepared.FILE_NAME).is_file()


def _require_contract(file: Path, described: ModelFile) -> None:
    """Raise CheckFailed for user code that a build would refuse."""
    code, packages = file.with_name(prepared.FILE_NAME), file.with_name(requirements.FILE_NAME)
    if not code.is_file():
        raise CheckFailed(f"{code} does not exist; the format python is a {prepared.FILE_NAME}")
    if described.signature is None:
        raise CheckFailed(
            f"{file} must say inputs and outputs, as code cannot be asked; such as:\n{_EXAMPLE}"
        )
    if described.requirements and packages.exists():
        raise CheckFailed(f"{packages} and requirements in {file}: allowed: one of them")
    try:
        prepared.check(code.read_bytes())
        if packages.is_file():
            Requirements.parse(packages.read_bytes())
    except InvalidInput as error:
        raise CheckFailed("\n  ".join([f"{code.parent}:", *map(str, error.problems)])) from error


def _require_archive(file: Path, described: ModelFile) -> None:
    """Some models are zip archives; what is in them the builder looks at, with the library itself."""
    name = described.file or ""
    writer = _ARCHIVES.get(Path(name).suffix)
    if writer and not zipfile.is_zipfile(file.parent / name):
        raise CheckFailed(f"{file}: file: {name!r} is no archive, as {writer} writes it")


def signature(described: ModelFile) -> str:
    """Such as `x float32[-1,30] → label int64[-1]`."""
    said = described.signature
    if said is None:
        return "the signature is the model's own"
    return f"{', '.join(map(str, said.inputs))} → {', '.join(map(str, said.outputs))}"


def _shown(described: ModelFile) -> Text:
    what = described.format or "format recognised at the build"
    compiled = " compiled to ONNX" if described.optimize == "onnx" else ""
    return Text.assemble(("✓ ", "green"), (what, "bold"), compiled, f"   {signature(described)}")


def _model_of(path: Path) -> Path:
    """The model's file.

    Raises:
        InvalidInput: there is none, or more than one could be it.
    """
    kinds = f"{', '.join([*TELLING, *_DIRECTORIES])}, LightGBM's text or {prepared.FILE_NAME}"
    allowed = f"allowed: a file of {kinds}, or a directory with one"
    if path.is_file() and _format_of(path):
        return path
    if not path.is_dir():
        missing = "" if path.exists() else "; it does not exist"
        raise InvalidInput.of("path", str(path), allowed + missing)
    if (path / prepared.FILE_NAME).is_file():
        return path / prepared.FILE_NAME  # whatever else lies there, it loads
    models: list[Any] = [each for each in sorted(path.iterdir()) if _format_of(each)]
    if len(models) != 1:
        found = ", ".join(each.name for each in models) or "none"
        raise InvalidInput.of("path", str(path), f"{allowed}; found {found}")
    return models[0]


def _format_of(path: Path) -> Format | None:
    """By its suffix; LightGBM's text, which has no suffix of its own, by how it begins."""
    if path.name == prepared.FILE_NAME:
        return "python"
    if path.name in _DIRECTORIES:
        return _DIRECTORIES[path.name] if path.name != "config.json" or _has_weights(path.parent) else None
    if path.suffix in TELLING or not path.is_file():
        return TELLING.get(path.suffix)
    with path.open("rb") as file:
        return "lightgbm" if file.read(len(_LIGHTGBM)) == _LIGHTGBM else None


def _has_weights(directory: Path) -> bool:
    """Many a tool writes a config.json; transformers puts safetensors beside it."""
    return any(directory.glob("model.safetensors*"))


_EXAMPLE = """\
inputs:  [{name: x, dtype: float64, shape: [-1, 4]}]
outputs: [{name: score, dtype: float64, shape: [-1]}]"""

_CODE_TEMPLATE = (
    """\
schema: so1s/v1
format: {format}
# What goes into run() and what comes out of it: an example, to be replaced. -1 is any length.
# Beside arrays: {{name: prompt, type: text}}, and of type json, file, image, dataframe or series.
"""
    + _EXAMPLE.replace("{", "{{").replace("}", "}}")
    + """
# A body of POST /predict, as JSON or as an image, CSV or text: the warm-up call, and `so1s predict --sample`.
# sample: sample.json
# The packages that it imports, beside NumPy; or a requirements.txt in their place.
# requirements: [pandas>=2]
# What an event of publication does not say.
# deploy: {{resources: {{memory_mib: 1024}}, scaling: {{max_replicas: 4}}}}
# alerts: [{{availability_below: 0.99, for_seconds: 300}}]
"""
)

_TEMPLATE = """\
schema: so1s/v1
format: {format}
file: {file}
# What goes in and out; without these two lines the model is asked.
# inputs:  [{{name: x, dtype: float32, shape: [-1, 30]}}]
# outputs: [{{name: label, dtype: int64, shape: [-1]}}]
# Rows with named columns: {{name: rows, type: dataframe, columns: [{{name: amount, dtype: float64}}]}}
# A body of POST /predict, as JSON or as an image, CSV or text: the warm-up call, and `so1s predict --sample`.
# sample: sample.json
# Compile it to ONNX while its image is built, and leave its library out; other answers fail the build.
# optimize: onnx
# What an event of publication does not say.
# deploy: {{resources: {{memory_mib: 1024}}, scaling: {{max_replicas: 4}}}}
# alerts: [{{availability_below: 0.99, for_seconds: 300}}]
"""

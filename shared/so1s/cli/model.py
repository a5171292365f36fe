"""`so1s model`: describe a model beside its file, and check the description."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from so1s import modelcheck, prepared, requirements
from so1s.cli.terminal import print_json, terminal
from so1s.contracts import modelfile
from so1s.errors import InvalidInput, So1sError
from so1s.events.model import CODE, Format
from so1s.modelfile import FILE_NAME, ModelFile
from so1s.suffixes import FORMATS, TELLING

app = typer.Typer(no_args_is_help=True, help="Describe a model and check the description.")

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
    described, screen = checked(path), terminal(context)
    screen.show(described, _shown)
    if described.format not in {None, *CODE} and (path / requirements.FILE_NAME).exists():
        screen.note(
            f"{requirements.FILE_NAME} is not read: {described.format} is served by libraries of its own"
        )
    if large := modelcheck.beyond_the_default(described):
        screen.note(f"{large}, unless the builder's operator says more by SO1S_MAX_INPUT_BYTES")
    if imported := modelcheck.unnamed_imports(path, described):
        there = f"no {requirements.FILE_NAME} names what it needs beside NumPy"
        screen.note(f"{prepared.FILE_NAME} imports {', '.join(imported)}, and {there}")


@app.command()
def schema() -> None:
    """Print the JSON schema of so1s.yaml, by which an editor completes and checks it."""
    print_json(modelfile.schema())


def checked(path: Path) -> ModelFile:
    """The description of a model's directory.

    Raises:
        CheckFailed: there is none, or a build would refuse it.
    """
    if not (path / FILE_NAME).is_file():
        raise CheckFailed(f"{path / FILE_NAME} does not exist; so1s model init {path} writes it")
    try:
        return modelcheck.check(path)
    except InvalidInput as error:
        raise CheckFailed("\n  ".join([f"{path}:", *map(str, error.problems)])) from error


def signature(described: ModelFile) -> str:
    """Such as `x float32[-1,30] → label int64[-1]`."""
    said = described.signature
    if said is None:
        return "inputs and outputs are asked of the model by the build"
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
        pickles = any(FORMATS.get(each.suffix) == "pickle" for each in path.iterdir())
        hint = "; a pickle of scikit-learn is better written anew by skops.io.dump" if pickles else ""
        raise InvalidInput.of("path", str(path), f"{allowed}; found {found}{hint}")
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


_CODE_TEMPLATE = (
    """\
schema: so1s/v1
format: {format}
# What goes into run() and what comes out of it: an example, to be replaced. -1 is any length.
# Beside arrays: {{name: prompt, type: text}}, and of type json, file, image, dataframe or series.
"""
    + modelcheck.EXAMPLE.replace("{", "{{").replace("}", "}}")
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

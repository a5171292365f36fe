"""`so1s model`: describe a model beside its file, and check the description."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer
import yaml
from rich.text import Text

from so1s import modelcheck, prepared, requirements
from so1s.cli.terminal import print_json, terminal
from so1s.contracts import modelfile
from so1s.errors import InvalidInput, So1sError
from so1s.events import Tensor
from so1s.events.model import CODE, Format
from so1s.formats import onnx_signature
from so1s.formats.files import models, recognise_all, recognise_file
from so1s.formats.unserved import PICKLE, way_out
from so1s.formats.zips import Oversized
from so1s.modelfile import DECLARED, FILE_NAME, MAX_BYTES, ModelFile

app = typer.Typer(no_args_is_help=True, help="Describe a model and check the description.")


class CheckFailed(So1sError):
    """A model's description does not hold."""


@app.command()
def init(context: typer.Context, path: Path) -> None:
    """Write so1s.yaml beside a model. Give its directory or the model itself; its content is looked at."""
    directory, file, model_format = _model_of(path)
    target = directory / FILE_NAME
    if target.exists():
        raise InvalidInput.of("path", str(target), f"allowed: a directory without {FILE_NAME}")
    is_code = model_format == "python"
    template = _CODE_TEMPLATE if is_code else _TEMPLATE
    said = {
        "format": model_format,
        "file": _quoted(file),
        "signature": _signature(directory / file, model_format),
    }
    target.write_text(template.format(**said))
    screen = terminal(context)
    screen.show({"written": str(target)}, lambda _: Text.assemble(("✓ ", "green"), f"{target}"))
    if not screen.is_json:
        if is_code:
            screen.note("say in it what goes into run() and what comes out: the lines there are an example")
        elif model_format in DECLARED:
            screen.note(f"say in it what goes in and out: {model_format} keeps neither types nor shapes")
        if model_format == "pickle":
            screen.note(PICKLE)
        place = shlex.quote(str(directory))
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


def _model_of(path: Path) -> tuple[Path, str, Format]:
    """The directory where the model is described, the model's path within it, and its format by its content.

    Raises:
        InvalidInput: there is none, or more than one could be it.
    """
    if not path.exists():
        raise InvalidInput.of("path", str(path), f"{_ALLOWED}; it does not exist")
    directory, names = (path, None) if path.is_dir() else (path.parent, [path.name])
    if (directory / prepared.FILE_NAME).is_file() and names in (None, [prepared.FILE_NAME]):
        return directory, prepared.FILE_NAME, "python"  # whatever else lies there, it loads
    try:
        recognised = recognise_all(path) if names is None else {path.name: recognise_file(path)}
    except Oversized as error:
        raise InvalidInput.of("path", str(path), f"{_ALLOWED}; {error}") from error
    found = models(recognised)
    if len(found) > 1:
        one = ", ".join(str(path / name) for name in sorted(found))
        raise InvalidInput.of("path", str(path), f"allowed: one of its models: {one}")
    if not found:
        way = way_out(sorted(recognised))
        raise InvalidInput.of("path", str(path), f"{_ALLOWED}; found none{f'. {way}' if way else ''}")
    ((file, model_format),) = found.items()
    assert model_format is not None
    return directory, file, model_format


def _signature(model: Path, model_format: Format) -> str:
    """The lines of inputs and outputs: as the model says them, where that is read without its library."""
    told = onnx_signature.signature(model) if model_format == "onnx" else None
    if told is None:
        return f"{_DECLARE if model_format in DECLARED else _ASK}\n{_PLACEHOLDER}"
    named = {"inputs:  ": told.inputs, "outputs: ": told.outputs}
    return "\n".join([_READ, *(f"{name}{_flow(each)}" for name, each in named.items())])


def _flow(tensors: Sequence[Tensor]) -> str:
    said = [each.model_dump(exclude_defaults=True) for each in tensors]
    return yaml.safe_dump(said, default_flow_style=True, sort_keys=False, width=MAX_BYTES).strip()


def _quoted(file: str) -> str:
    """A path as YAML has it."""
    return yaml.safe_dump({"file": file}, width=MAX_BYTES, allow_unicode=True).partition(": ")[2].strip()


_ALLOWED = f"allowed: a model of {', '.join(get_args(Format))}, or a directory with one"


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

_ASK = "# What goes in and out; without these two lines the model is asked."
_DECLARE = "# What goes in and out must be said, by the names of forward's arguments, as in this example."
_READ = "# What goes in and out, as the model itself says it; -1 is any length."
_PLACEHOLDER = """\
# inputs:  [{name: x, dtype: float32, shape: [-1, 30]}]
# outputs: [{name: label, dtype: int64, shape: [-1]}]"""
_TEMPLATE = (
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

_ASK = "# What goes in and out; without these two lines the model is asked."
_DECLARE = "# What goes in and out must be said, by the names of forward's arguments, as in this example."
_TEMPLATE = """\
schema: so1s/v1
format: {format}
file: {file}
{signature}
# Rows with named columns: {{name: rows, type: dataframe, columns: [{{name: amount, dtype: float64}}]}}
# A body of POST /predict, as JSON or as an image, CSV or text: the warm-up call, and `so1s predict --sample`.
# sample: sample.json
# Compile it to ONNX while its image is built, and leave its library out; other answers fail the build.
# optimize: onnx
# What an event of publication does not say.
# deploy: {{resources: {{memory_mib: 1024}}, scaling: {{max_replicas: 4}}}}
# alerts: [{{availability_below: 0.99, for_seconds: 300}}]
"""

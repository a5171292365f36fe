"""`so1s model`: describe a model beside its file, and check the description."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.text import Text

from so1s import modelcheck, prepared, requirements
from so1s.cli import descriptions, installed
from so1s.cli.terminal import Terminal, print_json, terminal
from so1s.contracts import modelfile
from so1s.errors import InvalidInput
from so1s.events.model import CODE, Format
from so1s.formats.files import models, recognise_all, recognise_file
from so1s.formats.unserved import PICKLE, way_out
from so1s.formats.zips import Oversized
from so1s.modelfile import DECLARED, FILE_NAME, Batching, ModelFile

app = typer.Typer(no_args_is_help=True, help="Describe a model and check the description.")


@app.command()
def init(context: typer.Context, path: Path) -> None:
    """Write so1s.yaml beside a model. Give its directory or the model itself; its content is looked at."""
    directory, file, model_format = _model_of(path)
    target = directory / FILE_NAME
    if target.exists():
        raise InvalidInput.fault("path", f"{target} exists", f"allowed: a directory without {FILE_NAME}")
    if model_format == "python":
        missing = _write_of_code(directory, target)
    else:
        missing = []
        target.write_text(descriptions.of_model(directory, file, model_format))
    screen = terminal(context)
    screen.show({"written": str(target)}, lambda _: Text.assemble(("✓ ", "green"), f"{target}"))
    if not screen.is_json:
        _note_what_is_left(screen, model_format, missing)
        place = shlex.quote(str(directory))
        screen.note(f"so1s model check {place}; then: so1s publish {place} --model NAME --wait")


def _write_of_code(directory: Path, target: Path) -> list[str]:
    """Describe user code; answers the modules that it imports and whose packages nobody says."""
    if (directory / requirements.FILE_NAME).exists():
        target.write_text(descriptions.of_code([]))
        return []
    imported = modelcheck.imports(directory)
    found = installed.requirements(imported)
    target.write_text(descriptions.of_code(sorted(set(found.values()))))
    return [name for name in imported if name not in found]


def _note_what_is_left(screen: Terminal, model_format: Format, missing: Sequence[str]) -> None:
    """Say what a person still has to say in the description."""
    if model_format == "python":
        screen.note("say in it what goes into run() and what comes out: the lines there are an example")
    elif model_format in DECLARED:
        screen.note(f"say in it what goes in and out: {model_format} keeps neither types nor shapes")
    if missing:
        named = ", ".join(missing)
        why = "not installed here, not from an index, or in several packages"
        screen.note(f"say in its requirements which packages have {named}: {why}")
    if model_format == "pickle":
        screen.note(PICKLE)


@app.command()
def check(
    context: typer.Context, path: Annotated[Path, typer.Argument(help="The model's directory.")]
) -> None:
    """Check so1s.yaml and the files that it names. Prints what it says of inputs and outputs.

    Of user code it looks at prepared.py without running it, and at requirements.txt.
    """
    described, screen = checked(path), terminal(context)
    screen.show(described, _shown)
    _note_what_is_not_checked(screen, described)
    if described.format not in {None, *CODE} and (path / requirements.FILE_NAME).exists():
        screen.note(
            f"{requirements.FILE_NAME} is not read: {described.format} is served by libraries of its own"
        )
    if large := modelcheck.beyond_the_default(described):
        screen.note(f"{large}, unless the builder's operator says more by SO1S_MAX_INPUT_BYTES")
    if urls := modelcheck.from_urls(path, described):
        screen.note(
            f"{', '.join(urls)}: a builder takes it where its operator names the URL by SO1S_PACKAGE_URLS"
        )
    if imported := modelcheck.unnamed_imports(path, described):
        there = f"no {requirements.FILE_NAME} names what it needs beside NumPy"
        screen.note(f"{prepared.FILE_NAME} imports {', '.join(imported)}, and {there}")


def _note_what_is_not_checked(screen: Terminal, described: ModelFile) -> None:
    if described.sample and described.inputs is None:
        by_the_build = (
            "is not held against inputs, as so1s.yaml declares none; the build tries it on the model"
        )
        screen.note(f"{described.sample} {by_the_build}")
    if described.batching and (alone := modelcheck.without_rows(described)):
        screen.note(f"batching has no effect, as the first axis of {', '.join(alone)} is not -1")


@app.command()
def schema() -> None:
    """Print the JSON schema of so1s.yaml, by which an editor completes and checks it."""
    print_json(modelfile.schema())


def checked(path: Path) -> ModelFile:
    """The description of a model's directory.

    Raises:
        InvalidInput: there is none, or a build would refuse it.
    """
    file = path / FILE_NAME
    if not file.is_file():
        raise InvalidInput.fault("path", f"{file} does not exist", f"so1s model init {path} writes it")
    return modelcheck.check(path)


def signature(described: ModelFile) -> str:
    """Such as `x float32[-1,30] → label int64[-1]`."""
    said = described.signature
    if said is None:
        return "inputs and outputs are asked of the model by the build"
    return f"{', '.join(map(str, said.inputs))} → {', '.join(map(str, said.outputs))}"


def _shown(described: ModelFile) -> Text:
    what = described.format or "format recognised at the build"
    compiled = " compiled to ONNX" if described.optimize == "onnx" else ""
    shared = f"\n  batching   {_batching(described.batching)}" if described.batching else ""
    return Text.assemble(("✓ ", "green"), (what, "bold"), compiled, f"   {signature(described)}", shared)


def _batching(said: Batching) -> str:
    """What is asked for; each server tries whether its model gains by it."""
    if said.max_rows == 1:
        return "off: one row a call"
    rows = f"at most {said.max_rows} rows a call" if said.max_rows else ""
    delay = f"{said.max_delay_ms:g} ms for more to come" if said.max_delay_ms is not None else ""
    return ", ".join(filter(None, [rows, delay])) or "as the server's operator says"


def _model_of(path: Path) -> tuple[Path, str, Format]:
    """The directory where the model is described, the model's path within it, and its format by its content.

    Raises:
        InvalidInput: there is none, or more than one could be it.
    """
    if not path.exists():
        raise InvalidInput.fault("path", f"{path} does not exist", _ALLOWED)
    directory, names = (path, None) if path.is_dir() else (path.parent, [path.name])
    if (directory / prepared.FILE_NAME).is_file() and names in (None, [prepared.FILE_NAME]):
        return directory, prepared.FILE_NAME, "python"  # whatever else lies there, it loads
    try:
        recognised = recognise_all(path) if names is None else {path.name: recognise_file(path)}
    except Oversized as error:
        raise InvalidInput.fault("path", f"{path}: {error}", _ALLOWED) from error
    found = models(recognised)
    if len(found) > 1:
        one = ", ".join(str(path / name) for name in sorted(found))
        raise InvalidInput.fault("path", f"{path} holds several models", f"allowed: one of them: {one}")
    if not found:
        way = way_out(sorted(recognised))
        raise InvalidInput.fault("path", f"{path} holds none", f"{_ALLOWED}{f'; {way}' if way else ''}")
    ((file, model_format),) = found.items()
    assert model_format is not None
    return directory, file, model_format


_ALLOWED = f"allowed: a model of {', '.join(get_args(Format))}, or a directory with one"

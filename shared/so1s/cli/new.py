"""`so1s new`: the files that a consumer of your own starts with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from so1s.cli.terminal import terminal
from so1s.errors import InvalidInput
from so1s.events.names import Name

app = typer.Typer(no_args_is_help=True, help="Start something of your own.")

_FILES = {
    "consumer.py.txt": "{module}.py",
    "test_consumer.py.txt": "test_{module}.py",
    "pytest.ini": "pytest.ini",
    "README.md": "README.md",
}


@app.callback()
def _group() -> None:
    """Keep `consumer` a command of its own while it is the only one."""


@app.command()
def consumer(
    context: typer.Context,
    name: str,
    *,
    directory: Annotated[Path | None, typer.Option(help="Where to; the name where it is absent.")] = None,
) -> None:
    """Write a consumer of events. With a test that passes, and how to run and deploy it."""
    _check(name)
    written = write(name, directory or Path(name))
    screen = terminal(context)
    screen.show([str(path) for path in written], "\n".join)
    if not screen.is_json:
        screen.note(f"{written[-1]} says how to test it and how to run it")


def write(name: str, directory: Path) -> list[Path]:
    """Write the files of a consumer; none is overwritten.

    Raises:
        InvalidInput: one of them is there already.
    """
    module = name.replace("-", "_")
    templates = files("so1s.cli").joinpath("templates")
    texts = {
        directory / target.format(module=module): Template(templates.joinpath(source).read_text()).substitute(
            name=name, module=module
        )
        for source, target in _FILES.items()
    }
    for path in texts:
        if path.exists():
            raise InvalidInput.of("directory", str(path), "allowed: a place where it does not exist yet")
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text)
    return list(texts)


def _check(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        (detail,) = error.errors()
        raise InvalidInput.of("name", name, detail["msg"].removeprefix("Value error, ")) from error

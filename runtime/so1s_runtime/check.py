"""`python -m so1s_runtime.check`: try a model before it is served, with the libraries of its image.

    signature DIRECTORY      print {"inputs": [...], "outputs": [...]} of the model of a directory
    model DIRECTORY          load it, call it as its server does at the start, and print the same

Where the manifest of the directory does not say what goes in and out, the model itself is asked.
Prints one JSON object as its last line; `{"error": "..."}` and exit code 1 if the model cannot be served.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from so1s_runtime import manifest, model, trial
from so1s_runtime.declared import DeclaredSignature
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader
from so1s_runtime.signature import Signature


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser("so1s_runtime.check")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in (
        ("signature", "print what goes in and out of the model of a directory"),
        ("model", "load the model of a directory and call it as its server does"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("directory", type=lambda text: Path(text).absolute())
    try:
        found = _run(parser.parse_args(arguments))
    except ModelError as error:
        _say({"error": str(error)})
        return 1
    _say(found.to_dict())
    return 0


def _say(found: Any) -> None:
    """Write a line of its own, whatever a model's code has written before."""
    print(f"\n{orjson.dumps(found).decode()}")  # noqa: T201 - a command's output


def _run(options: argparse.Namespace) -> Signature | DeclaredSignature:
    directory = options.directory
    found = manifest.read(directory, lambda format_, file: loader(format_).inspect(directory / file))
    if options.command == "model":
        trial.attempt(model.load(found, directory, threads=1), directory)
    return found.declared or found.signature


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m so1s_runtime.check`: try a model before it is served, with the libraries of its image.

    signature FORMAT FILE    print {"inputs": [...], "outputs": [...]} as the model file tells them
    model DIRECTORY          load the model of a directory, call it once, print its signature

Prints one JSON object as its last line; `{"error": "..."}` and exit code 1 if the model cannot be served.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from so1s_runtime import manifest, model
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import loader
from so1s_runtime.manifest import FORMATS, Signature


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser("so1s_runtime.check")
    commands = parser.add_subparsers(dest="command", required=True)
    signature = commands.add_parser("signature", help="print what goes in and out of a model file")
    signature.add_argument("format", choices=FORMATS)
    signature.add_argument("file", type=Path)
    directory = commands.add_parser("model", help="load the model of a directory and call it once")
    directory.add_argument("directory", type=lambda text: Path(text).absolute())
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


def _run(options: argparse.Namespace) -> Signature:
    if options.command == "signature":
        return loader(options.format).inspect(options.file)
    found = manifest.read(options.directory)
    return model.load(found, options.directory, threads=1).manifest.signature


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

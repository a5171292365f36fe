"""The models among files on a disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from so1s.events.model import Format
from so1s.formats.content import recognise
from so1s.formats.directories import MARKERS, outermost, recognise_directory
from so1s.formats.unserved import PICKLE, way_out


def recognise_file(path: Path) -> Format | None:
    """The format of a model that is a file, or of the directory that the file describes; None for any other.

    Raises:
        Oversized: it is a zip archive that is meant to fill the memory.
    """
    with path.open("rb") as file:
        if path.name in MARKERS:
            beside = {each.name for each in path.parent.iterdir()}
            if found := recognise_directory(path.name, file, beside):
                return found
        return recognise(file)


def recognise_all(directory: Path) -> dict[str, Format | None]:
    """Path to format of each file below a directory, None for what is no model.

    Raises:
        Oversized: likewise.
    """
    return {
        str(path.relative_to(directory)): recognise_file(path)
        for path in directory.rglob("*")
        if path.is_file()
    }


def models(
    recognised: Mapping[str, Format | None], said_format: Format | None = None
) -> dict[str, Format | None]:
    """What can be the model, of one format where that is said.

    A pickle beside a model is part of it, many a format has pickles inside, and what lies in a directory that
    is a model belongs to that.
    """
    found = {path: each for path, each in recognised.items() if each and said_format in {None, each}}
    others = {path: each for path, each in found.items() if each != "pickle"}
    pickles = {path: each for path, each in found.items() if way_out([path]) in {None, PICKLE}}
    return outermost(others or pickles)

"""A model is lent to the sandbox of its libraries while it is tried there, and not a moment longer."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.builder.adapters.inspection.places import MODEL
from so1s.links import link


@dataclass(frozen=True, slots=True)
class Lent:
    """A model in the sandbox."""

    name: str
    """Of its directory below those that are lent."""
    seen: str
    """The path by which the model's own process knows it."""


@asynccontextmanager
async def lend(model: Path, lent: Path) -> AsyncGenerator[Lent]:
    """Put a file, or the content of a directory, into a new directory below `lent`.

    The files are linked, so that it takes no time and no space, and copied from another file system.
    """
    place = Path(tempfile.mkdtemp(dir=lent))
    try:
        yield Lent(place.name, await asyncio.to_thread(_fill, place, model))
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _fill(place: Path, model: Path) -> str:
    if model.is_dir():
        shutil.copytree(model, place, symlinks=True, copy_function=link, dirs_exist_ok=True)
        seen = MODEL
    else:
        link(str(model), str(place / model.name))
        seen = f"{MODEL}/{model.name}"
    place.chmod(0o755)  # in the sandbox it may be nobody who reads
    return seen

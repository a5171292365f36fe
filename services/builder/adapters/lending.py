"""A model is lent to the sandbox of its libraries while it is tried there, and not a moment longer."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from so1s.links import link


@asynccontextmanager
async def lend(model: Path, lent: Path) -> AsyncGenerator[str]:
    """Put the content of a directory into a new one below `lent`, and give that one's name.

    The files are linked, so that it takes no time and no space, and copied from another file system.
    """
    place = Path(tempfile.mkdtemp(dir=lent))
    try:
        await asyncio.to_thread(_fill, place, model)
        yield place.name
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _fill(place: Path, model: Path) -> None:
    shutil.copytree(model, place, symlinks=True, copy_function=link, dirs_exist_ok=True)
    place.chmod(0o755)  # in the sandbox it may be nobody who reads

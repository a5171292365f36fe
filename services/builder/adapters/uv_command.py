"""How uv is run: in a sandbox, or as this process itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import uv

from services.builder.adapters.command import run
from services.builder.adapters.uv_environment import uv_directory, uv_environment


class Uv(Protocol):
    """Runs uv."""

    def directory(self, parent: Path, prefix: str) -> AbstractContextManager[Path]:
        """A directory for one command, which goes with it.

        Args:
            parent: where it lies, unless uv can be quicker elsewhere.
            prefix: of its name.
        """
        ...

    async def run(self, arguments: Sequence[str], *, directory: Path, on_line: Callable[[str], None]) -> int:
        """Run uv and return its exit code.

        Args:
            arguments: of uv; the files that they name are in the directory, and the interpreter.
            directory: as `directory` made it.
            on_line: takes each line that it says.

        Raises:
            BuildError: it broke its bounds, or what is asked for lies where uv may not reach.
            TemporaryError: it took too long.
        """
        ...


class PlainUv:
    """Runs uv as this process itself: with its files, its network and no bounds."""

    def directory(self, parent: Path, prefix: str) -> AbstractContextManager[Path]:
        """See `Uv`."""
        return uv_directory(parent, prefix)

    async def run(self, arguments: Sequence[str], *, directory: Path, on_line: Callable[[str], None]) -> int:
        """See `Uv`."""
        command = [uv.find_uv_bin(), *arguments]
        return await run(command, environment=uv_environment(), directory=directory, on_line=on_line)

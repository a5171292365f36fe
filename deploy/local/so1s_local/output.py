"""What the parts print: kept in a file each, and shown with the part's name in its colour."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

_COLOURS = ["cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta"]
_MAX_BYTES = 10_000_000


class Logs:
    """The logs of all parts."""

    def __init__(self, directory: Path, *, console: Console | None = None) -> None:
        self._directory = directory
        self._console = console
        self._shown = False
        self._colours: dict[str, str] = {}

    def show(self) -> None:
        """From now on, print lines too."""
        self._shown = self._console is not None

    def write(self, name: str, line: str) -> None:
        """Keep one line of a part; its file starts anew at 10 MB, the one before is kept."""
        path = self._directory / f"{name}.log"
        if path.exists() and path.stat().st_size > _MAX_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("a") as log:
            log.write(Text.from_ansi(line).plain + "\n")
        if self._shown and self._console:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            self._console.print(Text(f"{name:>9} ", style=colour) + Text.from_ansi(line), soft_wrap=True)

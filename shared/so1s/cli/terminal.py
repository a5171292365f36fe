"""What commands print: data as JSON, or as a person likes to read it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import typer
from pydantic_core import to_json
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

D = TypeVar("D")

_PERHAPS_UNSEEN = re.compile(r"[^\n -~]")
_HARMLESS = "\N{NO-BREAK SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""What Python calls not printable, and texts and emoji are written with."""

_PIPED_WIDTH = 200
"""Where a program reads, lines are not broken at a terminal's 80 characters."""


class Output(StrEnum):
    """The form of what is printed."""

    text = "text"
    json = "json"


class Terminal:
    """Standard output for data, standard error for what is said beside it."""

    def __init__(self, output: Output) -> None:
        self.is_json = output is Output.json
        # rich leaves colour out where NO_COLOR is set and where nobody looks.
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _PIPED_WIDTH
        self._beside = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, data: D, text: Callable[[D], RenderableType]) -> None:
        """Print data once, in the form that was asked for."""
        if self.is_json:
            print_json(data)
        else:
            self.console.print(text(data))

    def lines(self, lines: Sequence[str]) -> None:
        """Print lines that others wrote, as they are: neither broken nor read as markup."""
        if self.is_json:
            print_json(lines)
        else:
            for line in lines:
                typer.echo(line)

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print a line to people alone; a part may have a style."""
        if not self.is_json:
            self.console.print(Text.assemble(*parts), soft_wrap=True)

    def note(self, message: str) -> None:
        """Say something beside the data."""
        self._beside.print(Text.assemble(("→ ", "cyan"), message))


def terminal(context: typer.Context) -> Terminal:
    """The terminal of a command."""
    return context.ensure_object(dict).setdefault("terminal", Terminal(Output.text))


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Print data as JSON; one line where no indent is given."""
    typer.echo(_as_shown(to_json(data, indent=indent, fallback=str).decode()))


def json_text(data: Any, *, indent: int | None = None) -> str:
    """JSON as people read it; characters that the output has not, or that are not to be seen, are escaped."""
    return _as_shown(json.dumps(data, indent=indent, ensure_ascii=False))


def _as_shown(text: str) -> str:
    """JSON whose only line breaks are those of its indent.

    What cannot be printed is escaped: controls may steer a terminal, and marks of direction turn text around.
    """
    return _PERHAPS_UNSEEN.sub(
        lambda found: found[0] if _can_be_shown(found[0]) else json.dumps(found[0])[1:-1], text
    )


def _can_be_shown(character: str) -> bool:
    if not character.isprintable() and character not in _HARMLESS:
        return False
    try:
        character.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(text: object) -> str:
    """What anybody may have written, without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str) -> RenderableType:
    """Rows under headings.

    Args:
        rows: what is shown.
        columns: from a row's key to its heading, in their order.
        empty: what is said where there is no row.
    """
    rows = list(rows)
    if not rows:
        return Text(empty, style="dim")
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for key, heading in columns.items():
        numeric = all(isinstance(row.get(key), int | float) for row in rows)
        drawn.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(row.get(key)) for key in columns))
    return drawn


@dataclass(frozen=True)
class Line:
    """A name, what is said of it, and perhaps a figure at the right; what is long goes on below itself."""

    name: Text
    detail: Text
    right: str = ""
    width: int | None = None
    """At most so many characters; a terminal that is narrower has its own width."""
    gap: int = 2
    """Spaces after the name."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As rich asks for it."""
        drawn = Table.grid(expand=bool(self.right))
        drawn.add_column(no_wrap=True)
        drawn.add_column(ratio=1, overflow="fold")
        cells = [Text.assemble(self.name, " " * self.gap), self.detail]
        if self.right:
            drawn.width = min(options.max_width, self.width or options.max_width)
            drawn.add_column(no_wrap=True)
            cells.append(Text(f"  {self.right}", style="dim"))
        drawn.add_row(*cells)
        yield drawn


def _cell(value: Any) -> Text:
    if value is None or value == "":
        return Text("—", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, Mapping):
        return Text(" ".join(f"{key}={item}" for key, item in value.items()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Text(", ".join(map(str, value)))
    return Text(str(value), style=_STYLES.get(str(value), ""))


_STYLES = {
    "ready": "green",
    "serving": "green",
    "built": "green",
    "served": "green",
    "resolved": "green",
    "failed": "red",
    "refused": "red",
    "open": "red",
    "critical": "red",
    "rolling out": "yellow",
    "checking": "yellow",
    "running": "yellow",
    "queued": "yellow",
    "retiring": "yellow",
    "degraded": "yellow",
}

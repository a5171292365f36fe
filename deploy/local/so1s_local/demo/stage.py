"""How the demo speaks: numbered steps, facts with their seconds, and verdicts."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table


class StepFailed(Exception):
    """Something that the demo shows is not so."""


class Stage:
    """The demo's terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._number = 0
        self._began = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Generator[None, None, None]:
        """One numbered step, with its seconds at the end."""
        self._number += 1
        began = time.monotonic()
        self.console.print(f"\n[bold cyan]{self._number}[/] [bold]{title}[/]")
        yield
        self.console.print(f"  [dim]{time.monotonic() - began:.1f} s[/]")

    def fact(self, text: str) -> None:
        """Something that happened."""
        self.console.print(f"  [green]✓[/] {text}")

    def started(self, name: str, seconds: float) -> None:
        """A part that is ready."""
        self.fact(f"{name:<24} {seconds:.1f} s")

    def say(self, text: str) -> None:
        """Anything else."""
        self.console.print(f"  {text}")

    def check(self, holds: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence: check(a == b, "…")
        """Something that must be so.

        Raises:
            StepFailed: it is not.
        """
        if not holds:
            raise StepFailed(text)
        self.fact(text)

    def show(self, renderable: RenderableType) -> None:
        """A table or a picture."""
        self.console.print(Padding(renderable, (0, 0, 0, 2), expand=False))

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began


def table(*columns: str) -> Table:
    """A plain table; numbers go to the right."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        name, _, right = column.partition(">")
        made.add_column(name, justify="right" if right or column.endswith(">") else "left")
    return made

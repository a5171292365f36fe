"""`python -m so1s_lab`: set the lab up, and keep it running for people."""

from __future__ import annotations

import typer
from rich.console import Console

from so1s_lab.debian import install_missing

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The real parts of a cluster.")
console = Console(highlight=False)


@app.callback()
def _group() -> None:
    """The real parts of a cluster."""


@app.command()
def setup() -> None:
    """Install the Debian packages that parts need, where this is root on a Debian."""
    for package in install_missing():
        console.print(f"[green]✓[/] installed {package}")


if __name__ == "__main__":
    app()

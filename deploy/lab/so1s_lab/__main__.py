"""`python -m so1s_lab`: set the lab up, and keep it running for people."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.panel import Panel

from so1s_lab import LAB_DIR
from so1s_lab.debian import install_missing
from so1s_lab.everything import EXTRA, HEADERS, PROGRAMS, Addresses, Everything
from so1s_lab.part import MissingPartError
from so1s_lab.runner import PartNotReadyError, Runner, Started
from so1s_local.supervisor import PlatformRunsError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The real parts of a cluster.")
console = Console(highlight=False)


@app.callback()
def _group() -> None:
    """The real parts of a cluster."""
    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    logging.basicConfig(format="%(message)s", handlers=[handler])
    logging.getLogger("so1s_lab").setLevel(logging.INFO)


@app.command()
def setup(
    also: Annotated[list[str], typer.Option(help=f"what some tests need: {', '.join(EXTRA)}")] = [],  # noqa: B006 - typer's
) -> None:
    """Install the Debian packages that parts need, where this is root on a Debian, and build the programs."""
    try:
        for package in install_missing(each for name in also for each in HEADERS.get(name, ())):
            console.print(f"[green]✓[/] installed {package}")
        for program in (*PROGRAMS, *(each for name in also for each in EXTRA[name])):
            program.build()
    except MissingPartError as missing:
        _missing(str(missing))


@app.command()
def up() -> None:
    """Run every part until Ctrl-C; what they keep is removed by the next start."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Runner(LAB_DIR / "run" / "lab", progress=_progress) as runner:
            _run(runner)
    except KeyboardInterrupt:
        console.print("stopped")
    except (PlatformRunsError, PartNotReadyError) as error:
        console.print(f"[red]✗[/] {error}")
        sys.exit(1)


def _run(runner: Runner) -> None:
    everything = Everything(runner, missing=_missing)
    everything.start()
    variables = runner.run_dir / "env"
    everything.addresses.write(variables)
    console.print(_welcome(everything.addresses, variables))
    try:
        signal.pause()
    finally:
        console.print("stopping …")


def _progress(started: Started) -> None:
    console.print(f"[green]✓[/] {started.part.name:<24} {started.part.version:<24} {started.seconds:.1f}s")


def _missing(reason: str) -> None:
    console.print(f"[yellow]-[/] {reason}")


def _welcome(addresses: Addresses, variables: Path) -> Panel:
    shown = "\n".join(f"{part:<12}{address}" for part, address in addresses.shown.items())
    return Panel(
        f"{shown}\n\n"
        f"[bold]export KUBECONFIG={addresses.variables.get('KUBECONFIG', '')}[/]\n"
        f"[bold]. {variables}[/]   all addresses and passwords as variables",
        title="The lab is up; Ctrl-C stops it",
        expand=False,
    )


if __name__ == "__main__":
    app()

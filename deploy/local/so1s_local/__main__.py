"""`python -m so1s_local up`: the platform on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel

from so1s.errors import InvalidInput
from so1s_local.interrupt import until_interrupted
from so1s_local.output import Logs
from so1s_local.settings import load
from so1s_local.supervisor import PlatformRunsError, Supervisor
from so1s_local.units import Plan

app = typer.Typer(no_args_is_help=True, add_completion=False, help="So1s on one machine.")
console = Console(stderr=False, highlight=False)

State = Annotated[Path, typer.Option("--state", help="Where the platform keeps its state.")]


@app.callback()
def _group() -> None:
    """So1s on one machine."""


@app.command()
def up(
    state: State = Path(".so1s"),
    config: Annotated[Path | None, typer.Option(help="A settings file instead of the shipped one.")] = None,
) -> None:
    """Run the platform until Ctrl-C; its state is kept."""
    try:
        asyncio.run(until_interrupted(_up(Plan(load(config), state))))
    except asyncio.CancelledError:
        console.print("stopped; its state is kept in", state)
    except (PlatformRunsError, InvalidInput, TimeoutError) as error:
        console.print(f"[red]✗[/] {error or 'a part did not become ready; see its log'}")
        sys.exit(1)


async def _up(plan: Plan) -> None:
    logs = Logs(plan.log_dir, console=console)
    async with Supervisor(plan, output=logs.write, progress=_progress):
        console.print(_welcome(plan))
        logs.show()
        try:
            await asyncio.Event().wait()
        finally:
            console.print("stopping …")


def _progress(name: str, seconds: float) -> None:
    console.print(f"[green]✓[/] {name:<10} {seconds:.1f}s")


def _welcome(plan: Plan) -> Panel:
    platform = plan.platform()
    return Panel(
        f"endpoints  http://ENDPOINT--ACCOUNT.{platform.domain}:{plan.ports['gateway']}\n"
        f"Slack      {platform.slack}\n"
        f"Kafka      {platform.kafka}\n"
        f"HTTP       {platform.services.get('console', 'no console')}   (its tokens: make token)\n"
        f"artifacts  {plan.artifacts}\n\n"
        "[bold].venv/bin/so1s publish DIR --model NAME --wait[/]   serve a model\n"
        "[bold].venv/bin/so1s status[/]                            see what serves",
        title="So1s is up; Ctrl-C stops it",
        expand=False,
    )


if __name__ == "__main__":
    app()

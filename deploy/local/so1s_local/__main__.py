"""`python -m so1s_local up`: the platform on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from so1s.errors import InvalidInput
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
        asyncio.run(_up(Plan(load(config), state)))
    except (PlatformRunsError, InvalidInput, TimeoutError) as error:
        console.print(f"[red]✗[/] {error or 'a part did not become ready; see its log'}")
        sys.exit(1)


async def _up(plan: Plan) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopped.set)
    logs = Logs(plan.log_dir, console=console)
    starting = asyncio.create_task(_run(plan, logs, stopped))
    await starting


async def _run(plan: Plan, logs: Logs, stopped: asyncio.Event) -> None:
    def progress(name: str, seconds: float) -> None:
        console.print(Text.assemble(("✓ ", "green"), f"{name} {seconds:.1f}s"))

    async with Supervisor(plan, output=logs.write, progress=progress):
        platform = plan.platform()
        console.print(
            f"\n[bold]So1s is up[/]  gateway {platform.gateway}  Slack {platform.slack}  "
            f"Kafka {platform.kafka}\nnext: [bold].venv/bin/so1s status[/], "
            f"or publish a model: [bold].venv/bin/so1s publish DIR --model NAME --wait[/]\n"
        )
        logs.show()
        await stopped.wait()
        console.print("stopping …")


if __name__ == "__main__":
    app()

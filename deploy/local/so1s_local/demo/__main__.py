"""`python -m so1s_local.demo`: the platform's main job on real input, verified, and cleaned up."""

from __future__ import annotations

import asyncio
import shutil
import sys
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.panel import Panel

from so1s.errors import So1sError
from so1s_local.demo.stage import Stage, StepFailed
from so1s_local.demo.story import replica_process, state_of, tell
from so1s_local.interrupt import until_interrupted
from so1s_local.settings import LocalSettings, load
from so1s_local.supervisor import PlatformRunsError
from so1s_local.units import Plan

_WINDOW_SECONDS = 2
"""Short, so that the demo is billed and watched within its half minute."""
_WIDTH = 120
"""Where the output goes to a file."""
_EXPECTED = (StepFailed, PlatformRunsError, So1sError, TimeoutError, httpx.HTTPError, LookupError)


async def run(root: Path, stage: Stage) -> None:
    """Start a platform of its own, tell the story on it, and stop it."""
    plan = Plan(_settings(root), state_of(root))
    title = "Start the embedded broker, seven services, Envoy and a local Slack, each its own process"
    await tell(plan, stage, title, partial(replica_process, plan))


def main() -> int:
    """Run the demo; 0 only where everything was so. What it keeps are libraries, for the next time."""
    width = None if sys.stdout.isatty() else _WIDTH
    stage = Stage(Console(highlight=False, width=width))
    root = Path(".so1s")
    try:
        asyncio.run(until_interrupted(run(root, stage)))
    except PlatformRunsError as error:
        stage.say(f"\n[bold red]✗ {error}[/]")
        return 1
    except _EXPECTED as error:
        stage.say(
            f"\n[bold red]✗ {type(error).__name__}: {error}[/]\n  the logs are in {state_of(root) / 'logs'}"
        )
        return 1
    except asyncio.CancelledError:
        stage.say("\nstopped; nothing is left running")
        return 130
    shutil.rmtree(state_of(root), ignore_errors=True)
    stage.show(_farewell(stage.elapsed()))
    return 0


def _settings(root: Path) -> LocalSettings:
    shipped = load()
    kept = (root / "demo" / "cache").resolve()
    services = shipped.services | {
        "builder": {"libraries_dir": str(kept / "libraries"), "image_dir": str(kept / "images")},
        "deployer": {"unpacked_dir": str(kept / "unpacked")},
    }
    changes = {"window_seconds": _WINDOW_SECONDS, "account": "clinic", "services": services}
    return shipped.model_copy(update=changes)


def _farewell(seconds: float) -> Panel:
    return Panel(
        "[bold]make up[/]                                   keep the platform running\n"
        "[bold].venv/bin/so1s model init DIR[/]              describe a model of your own\n"
        "[bold].venv/bin/so1s publish DIR --model NAME --wait[/]   and serve it\n"
        "[dim]libraries are kept in .so1s/demo for the next time; make clean removes them[/]",
        title=f"[green]everything verified in {seconds:.0f} s; nothing is left running[/]",
        subtitle="next",
        expand=False,
    )


if __name__ == "__main__":
    sys.exit(main())

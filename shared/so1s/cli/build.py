"""`so1s build`: how images came to be, and why they did not."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from so1s.cli import api, times
from so1s.cli.ask import ask, say
from so1s.cli.options import Account, TimeoutSeconds, Wait, account_of, me
from so1s.cli.terminal import table, terminal
from so1s.errors import InvalidInput
from so1s.events import BuildFailed, BuildRequested, ImageBuilt
from so1s.flow import BuildFailed as Failed
from so1s.platform import ClientSettings
from so1s.validation import checked

app = typer.Typer(no_args_is_help=True, help="Look at builds, and ask for them again.")

Version = Annotated[str, typer.Argument(metavar="MODEL@VERSION")]

_COLUMNS = {
    "model": "model",
    "version": "version",
    "state": "state",
    "reason": "reason",
    "message": "message",
    "queued_at": "queued",
    "finished_at": "finished",
}


@app.command("list")
def list_builds(context: typer.Context, *, account: Account = None) -> None:
    """List an account's builds, the newest first."""
    settings = ClientSettings.load()
    found = api.get(settings, "builder", "v1", "builds", account=account_of(settings, account))["builds"]
    terminal(context).show(found, _table)


@app.command("logs")
def show_logs(context: typer.Context, version: Version, *, account: Account = None) -> None:
    """Show a build's log."""
    settings = ClientSettings.load()
    model, number = split(version)
    path = ("v1", "builds", account_of(settings, account), model, number, "log")
    lines = api.text(settings, "builder", *path).splitlines()
    terminal(context).show(lines, "\n".join)


@app.command("again")
def build_again(
    context: typer.Context,
    version: Version,
    *,
    account: Account = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 600,
) -> None:
    """Build a known version once more, such as after a registry was away."""
    settings, screen = ClientSettings.load(), terminal(context)
    model, number = split(version)
    request = checked(
        BuildRequested, account=account_of(settings, account), model=model, version=number, requested_by=me()
    )
    if not wait:
        screen.show({"event_id": say(settings, request)}, lambda _: "published; so1s build list shows it")
        return
    (answer,) = ask(settings, request, (ImageBuilt, BuildFailed), timeout_seconds=timeout_seconds)
    if isinstance(answer, BuildFailed):
        raise Failed(f"{answer.verdict}: {answer.reason}: {answer.message}", answer, answer.log_tail)
    assert isinstance(answer, ImageBuilt)
    screen.show(answer, lambda it: f"built {it.image.digest} in {it.seconds:.1f} s")


def _table(builds: list[dict[str, Any]]) -> RenderableType:
    rows = [
        each | {name: times.shown(each[name]) for name in ("queued_at", "finished_at")} for each in builds
    ]
    return table(rows, _COLUMNS, empty="no builds yet")


def split(version: str) -> tuple[str, str]:
    """A model and its version.

    Raises:
        InvalidInput: there is no `@` between them.
    """
    model, at, number = version.partition("@")
    if not at or not model or not number:
        raise InvalidInput.of("version", version, "allowed: MODEL@VERSION, such as fraud@3")
    return model, number

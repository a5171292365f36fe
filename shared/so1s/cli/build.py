"""`so1s build`: how images came to be, and why they did not."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api, times
from so1s.cli.ask import ask, say
from so1s.cli.build_log import follow
from so1s.cli.options import Account, TimeoutSeconds, Wait, account_of, me
from so1s.cli.terminal import Line, Terminal, table, terminal
from so1s.errors import InvalidInput
from so1s.events import BuildCancelled, BuildFailed, BuildRequested, Event, ImageBuilt
from so1s.flow import BuildFailed as Failed
from so1s.platform import ClientSettings
from so1s.validation import checked

app = typer.Typer(no_args_is_help=True, help="Look at builds, stop them, and ask for them again.")

Version = Annotated[str, typer.Argument(metavar="MODEL@VERSION")]

_STATES = ("queued", "running", "built", "failed", "cancelled", "refused")
_COLUMNS = {
    "name": "build",
    "state": "state",
    "queued": "queued",
    "took": "took",
}


@app.command("list")
def list_builds(
    context: typer.Context,
    *,
    account: Account = None,
    model: Annotated[str | None, typer.Option(help="Of this model alone.", show_default=False)] = None,
    state: Annotated[
        str | None, typer.Option(help=f"In this state alone: {', '.join(_STATES)}.", show_default=False)
    ] = None,
) -> None:
    """List an account's builds, the newest first."""
    if state not in {None, *_STATES}:
        raise InvalidInput.of("state", state, f"allowed: {', '.join(_STATES)}")
    settings = ClientSettings.load()
    asked = {"account": account_of(settings, account), "model": model, "state": state}
    terminal(context).show(api.get(settings, "builder", "v1", "builds", **asked)["builds"], _table)


@app.command("logs")
def show_logs(
    context: typer.Context,
    version: Version,
    *,
    account: Account = None,
    follows: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the build ends; fails where that fails.")
    ] = False,
) -> None:
    """Show a build's log, all its tries."""
    settings, screen = ClientSettings.load(), terminal(context)
    path = ("v1", "builds", account_of(settings, account), *split(version))
    if follows:
        follow(settings, screen, version, path)
        return
    lines = api.text(settings, "builder", *path, "log").splitlines()
    screen.lines(lines)


@app.command("again")
def build_again(
    context: typer.Context,
    version: Version,
    *,
    account: Account = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 600,
) -> None:
    """Build a known version once more, though it is built, such as after a registry lost it."""
    settings, screen = ClientSettings.load(), terminal(context)
    request = _request(settings, version, account, only_failed=False)
    _ask(settings, screen, request, wait=wait, timeout_seconds=timeout_seconds)


@app.command("retry")
def retry_build(
    context: typer.Context,
    version: Version,
    *,
    account: Account = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 600,
) -> None:
    """Try a build again that failed or was cancelled, without a new upload; safe to repeat.

    One that goes on is waited for, and one that is built stays as it is.
    """
    settings, screen = ClientSettings.load(), terminal(context)
    request = _request(settings, version, account, only_failed=True)
    _ask(settings, screen, request, wait=wait, timeout_seconds=timeout_seconds)


@app.command("cancel")
def cancel_build(
    context: typer.Context,
    version: Version,
    *,
    account: Account = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 60,
) -> None:
    """Stop a build, whether it waits or runs; fails where it came to another end before."""
    settings, screen = ClientSettings.load(), terminal(context)
    model, number = split(version)
    said = {"account": account_of(settings, account), "model": model, "version": number}
    request = checked(BuildCancelled, **said, cancelled_by=me())
    if not wait:
        _published(screen, settings, request)
        return
    (answer,) = ask(settings, request, (ImageBuilt, BuildFailed), timeout_seconds=timeout_seconds)
    if isinstance(answer, ImageBuilt):
        raise InvalidInput.of("version", version, "allowed: one that waits or is being built; it is built")
    assert isinstance(answer, BuildFailed)
    if answer.reason != "cancelled":
        raise _failed(version, answer)
    screen.show(answer, lambda it: f"{version} {it.message}")


def _request(
    settings: ClientSettings, version: str, account: str | None, *, only_failed: bool
) -> BuildRequested:
    model, number = split(version)
    said = {"account": account_of(settings, account), "model": model, "version": number}
    return checked(BuildRequested, **said, requested_by=me(), only_failed=only_failed)


def _ask(
    settings: ClientSettings, screen: Terminal, request: BuildRequested, *, wait: bool, timeout_seconds: float
) -> None:
    if not wait:
        _published(screen, settings, request)
        return
    (answer,) = ask(settings, request, (ImageBuilt, BuildFailed), timeout_seconds=timeout_seconds)
    if isinstance(answer, BuildFailed):
        raise _failed(f"{request.model}@{request.version}", answer)
    assert isinstance(answer, ImageBuilt)
    screen.show(answer, _built)


def _built(event: ImageBuilt) -> str:
    warned = [f"warning: {each}" for each in event.warnings]
    return "\n".join([f"built {event.image.digest} in {event.seconds:.1f} s", *warned])


def _published(screen: Terminal, settings: ClientSettings, request: Event) -> None:
    screen.show({"event_id": say(settings, request)}, lambda _: "published; so1s build list shows it")


def _failed(version: str, answer: BuildFailed) -> Failed:
    step = f" at step {answer.step}" if answer.step else ""
    said = f"{version} was not built: {answer.reason}{step}: {answer.message}"
    return Failed(said, answer, answer.log_tail)


def _table(builds: list[dict[str, Any]]) -> RenderableType:
    """A narrow table, and sentences below it: in a column they would be a word wide."""
    rows = [
        each | {"name": _name(each), "queued": times.shown(each["queued_at"]), "took": _took(each)}
        for each in builds
    ]
    hurried = any(each.get("priority") not in {None, "normal"} for each in builds)
    columns = _COLUMNS | ({"priority": "priority"} if hurried else {})
    said = [
        Line(Text(_name(each), style="dim"), Text(words, style="dim"))
        for each in builds
        for words in _said(each)
    ]
    return Group(table(rows, columns, empty="no such builds yet"), *said)


def _name(build: dict[str, Any]) -> str:
    return f"{build['model']}@{build['version']}"


def _took(build: dict[str, Any]) -> str:
    started, finished = build.get("started_at"), build.get("finished_at")
    return f"{times.between(started, finished):.1f} s" if started and finished else ""


def _said(build: dict[str, Any]) -> list[str]:
    """Why a build came to no image or waits, and what whoever runs it should know."""
    why = ": ".join(filter(None, (build["reason"], build["message"]))) or build.get("waits_for")
    warnings = [f"warning: {each}" for each in build.get("warnings") or []]
    return [why, *warnings] if why else warnings


def split(version: str) -> tuple[str, str]:
    """A model and its version.

    Raises:
        InvalidInput: there is no `@` between them.
    """
    model, at, number = version.partition("@")
    if not at or not model or not number:
        raise InvalidInput.of("version", version, "allowed: MODEL@VERSION, such as fraud@3")
    return model, number

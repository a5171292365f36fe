"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from so1s.cli import (
    bill,
    build,
    deployments,
    dlq,
    doctor,
    endpoint,
    events,
    explain,
    history,
    login,
    model,
    new,
    predict,
    publish,
    sbom,
    status,
    topics,
    verify,
    weights,
)
from so1s.cli.terminal import Output, Terminal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="So1s: an uploaded model becomes a routed, metered and watched inference server.",
    epilog="Exit codes: 0 done, 1 tried and failed, 2 not allowed, 3 not reachable, 4 timed out, 5 unsigned, "
    "130 Ctrl-C.",
)


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer gives it so
    if asked:
        typer.echo(f"so1s {version('so1s')}")
        raise typer.Exit


@app.callback()
def _everywhere(
    context: typer.Context,
    *,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="text or json; may stand anywhere.")
    ] = Output.text,
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    context.obj = {"terminal": Terminal(output)}


app.command()(login.login)
app.command()(login.logout)
app.add_typer(model.app, name="model")
app.command()(publish.publish)
app.command()(predict.predict)
app.add_typer(weights.app, name="weights")
app.command()(status.status)
app.command()(deployments.deployments)
app.command()(deployments.scale)
app.command()(history.history)
app.command()(deployments.rollback)
app.command()(deployments.remove)
app.command()(deployments.logs)
app.command()(explain.explain)
app.command()(bill.bill)
app.add_typer(build.app, name="build")
app.command()(sbom.sbom)
app.command()(verify.verify)
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(events.app, name="events")
app.add_typer(dlq.app, name="dlq")
app.add_typer(topics.app, name="topics")
app.add_typer(new.app, name="new")
app.command()(doctor.doctor)

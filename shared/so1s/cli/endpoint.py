"""`so1s endpoint`: the hosts that callers use."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api
from so1s.cli.ask import ask, say
from so1s.cli.options import Account, TimeoutSeconds, Wait, account_of, me
from so1s.cli.terminal import terminal
from so1s.cli.weights import shares
from so1s.events import EndpointRemovalRequested, EndpointRemoved, RoutesRejected
from so1s.flow import RoutesRejected as Rejected
from so1s.platform import ClientSettings
from so1s.validation import checked

app = typer.Typer(no_args_is_help=True, help="Look at endpoints, and take their hosts away.")


@app.command("list")
def list_endpoints(context: typer.Context, *, account: Account = None) -> None:
    """List an account's endpoints and their variants."""
    settings = ClientSettings.load()
    found = api.get(settings, "router", "v1", "endpoints", account=account_of(settings, account))["endpoints"]
    terminal(context).show([each for each in found if not each["removed"]], _shown)


@app.command()
def remove(
    context: typer.Context,
    endpoint: str,
    *,
    account: Account = None,
    wait: Wait = True,
    timeout_seconds: TimeoutSeconds = 60,
) -> None:
    """Take an endpoint's host away. Its deployments stay until so1s remove."""
    settings, screen = ClientSettings.load(), terminal(context)
    account = account_of(settings, account)
    request = checked(EndpointRemovalRequested, account=account, endpoint=endpoint, requested_by=me())
    if not wait:
        screen.show({"event_id": say(settings, request)}, lambda _: "removal published")
        return
    (answer,) = ask(settings, request, (EndpointRemoved, RoutesRejected), timeout_seconds=timeout_seconds)
    if isinstance(answer, RoutesRejected):
        raise Rejected(f"{answer.field}: {answer.value} is not allowed; {answer.allowed}", answer)
    screen.show(answer, lambda _: f"{endpoint} removed")


def _shown(found: list[dict[str, Any]]) -> RenderableType:
    if not found:
        return Text("no endpoints yet", style="dim")
    return Group(*(shares(each) for each in found))

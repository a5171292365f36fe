"""`so1s status`: what serves, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api, deployments, times
from so1s.cli.options import Account, account_of
from so1s.cli.terminal import table, terminal
from so1s.cli.weights import shares
from so1s.platform import ClientSettings

_INCIDENTS = {"severity": "severity", "subject": "subject", "summary": "what", "opened_at": "since"}


@dataclass(frozen=True)
class Status:
    """An account's deployments, endpoints and open incidents, each as its owner has them."""

    account: str
    deployments: list[dict[str, Any]]
    endpoints: list[dict[str, Any]]
    incidents: list[dict[str, Any]]


def status(context: typer.Context, *, account: Account = None) -> None:
    """Show an account's deployments, endpoints and open incidents."""
    settings = ClientSettings.load()
    terminal(context).show(fetch(settings, account_of(settings, account)), _shown)


def fetch(settings: ClientSettings, account: str) -> Status:
    """Ask the owners."""
    endpoints = api.get(settings, "router", "v1", "endpoints", account=account)["endpoints"]
    incidents = api.get(settings, "alerter", "v1", "incidents", account=account)["incidents"]
    return Status(
        account=account,
        deployments=deployments.fetch(settings, account),
        endpoints=[each for each in endpoints if not each["removed"]],
        incidents=[each for each in incidents if each["state"] == "open"],
    )


def _shown(status: Status) -> RenderableType:
    parts: list[RenderableType] = [deployments.shown(status.deployments)]
    for endpoint in status.endpoints:
        parts += [Text(), shares(endpoint)]
    incidents = [each | {"opened_at": times.shown(each["opened_at"])} for each in status.incidents]
    parts += [Text(), table(incidents, _INCIDENTS, empty="no open incident")]
    return Group(*parts)

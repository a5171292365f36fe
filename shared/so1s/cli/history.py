"""`so1s history`: the revisions that a deployment had, and what became of each."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api, times
from so1s.cli.options import Account, account_of
from so1s.cli.terminal import table, terminal
from so1s.platform import ClientSettings

_COLUMNS = {
    "revision": "revision",
    "serves": "version",
    "state": "state",
    "requested_at": "when",
    "requested_by": "by",
    "why": "why it failed",
}


def history(context: typer.Context, deployment: str, *, account: Account = None) -> None:
    """List a deployment's revisions, and how to go back to one."""
    settings = ClientSettings.load()
    account = account_of(settings, account)
    path = ("v1", "deployments", account, deployment, "revisions")
    found = api.get(settings, "deployer", *path)["revisions"]
    terminal(context).show(found, lambda revisions: _shown(deployment, revisions))


def _shown(deployment: str, revisions: list[dict[str, Any]]) -> RenderableType:
    rows = [
        each
        | {
            "serves": f"{each['model']}@{each['version']}",
            "requested_at": times.shown(each["requested_at"]),
            "why": _why(each["failure"]),
        }
        for each in revisions
    ]
    parts: list[RenderableType] = [table(rows, _COLUMNS, empty="no revisions yet")]
    is_gone = any(each["state"] == "removed" for each in rows)
    if not is_gone and any(each["state"] == "replaced" for each in rows):
        parts += [Text(), Text(f"back to the version before: so1s rollback {deployment}", style="dim")]
    return Group(*parts)


def _why(failure: dict[str, str] | None) -> str:
    return f"{failure['reason']}: {failure['message']}" if failure else ""

"""`so1s bill`: what it costs, and what that is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import api
from so1s.cli.options import Account, account_of
from so1s.cli.terminal import table, terminal
from so1s.errors import InvalidInput
from so1s.platform import ClientSettings

_LAST_COLUMNS = {"usage": "usage", "amount_usd": "USD"}


def bill(
    context: typer.Context,
    *,
    account: Account = None,
    by: Annotated[
        str, typer.Option(help="Any of user, model, version, deployment, resource, day, with commas between.")
    ] = "model,resource",
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="From the archived events instead of the ledger, and compare.")
    ] = False,
) -> None:
    """Show an account's bill."""
    settings = ClientSettings.load()
    path = ["v1", "bills", account_of(settings, account), *(["recomputed"] if recompute else [])]
    if first and last and last < first:
        allowed = f"allowed: {first:%Y-%m-%d}, the day of --from, or a later one"
        raise InvalidInput.of("to", f"{last:%Y-%m-%d}", allowed)
    days = {"from": first and first.date(), "to": last and last.date()}
    found = api.get(settings, "billing", *path, by=by, **days)
    terminal(context).show(found, _shown)
    if not found.get("equal", True):
        raise typer.Exit(1)


def _shown(found: dict[str, Any]) -> RenderableType:
    dimensions = {name: name for name in found["by"]}
    columns = dimensions | (_LAST_COLUMNS if "resource" in dimensions else {"amount_usd": "USD"})
    lines = [table(found["rows"], columns, empty="nothing was metered yet"), Text()]
    total = f"total {found['total']['amount_usd']} {found['currency']}"
    if "equal" not in found:
        return Group(*lines, Text(total, style="bold"))
    verdict = ("✓ equals the ledger to the last unit", "green")
    if not found["equal"]:
        verdict = (
            f"✗ {len(found['differences'])} lines differ from the ledger; --output json lists them",
            "red",
        )
    return Group(*lines, Text.assemble((total, "bold"), "   ", verdict))

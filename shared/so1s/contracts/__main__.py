"""Check or write the golden schemas of the events that a module declares."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from so1s.contracts.golden import breaking, changes, write
from so1s.events.event import catalogue


def main(
    directory: Annotated[Path, typer.Argument(help="Where the schemas are kept, one file an event type.")],
    *,
    module: Annotated[str, typer.Option(help="Declares the events; it and its submodules.")] = "so1s.events",
    write_them: Annotated[bool, typer.Option("--write", help="Write what is compatible.")] = False,
    accept_breaking: Annotated[bool, typer.Option(help="Write all; for events nobody uses yet.")] = False,
) -> None:
    """Tell what changed in the contracts of events, and whether it may."""
    import_module(module)
    events = [event for event in catalogue().values() if f"{event.__module__}.".startswith(f"{module}.")]
    found = changes(directory, events)
    refused = [] if accept_breaking else breaking(found)
    for kind, all_ in found.items():
        for change in all_:
            typer.echo(f"{'breaking  ' if change.breaking else 'compatible'}  {kind}: {change}")
    if refused:
        typer.echo(
            "→ declare a class with the next version, and publish both until the first has no consumer"
        )
        raise typer.Exit(1)
    if write_them:
        write(directory, events)
    elif found:
        typer.echo("→ run again with --write, and commit")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

"""`so1s dlq`: the events that a service could not handle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from so1s.cli import letters, times
from so1s.cli.ask import run
from so1s.cli.letters import Letter
from so1s.cli.terminal import json_text, table, terminal
from so1s.errors import InvalidInput
from so1s.platform import ClientSettings

app = typer.Typer(no_args_is_help=True, help="Dead letters: see why, mend it, and send them back.")

Service = Annotated[str, typer.Argument(help="Whose letters, such as builder.")]
Number = Annotated[int, typer.Argument(help="As so1s dlq list shows it.")]

_COLUMNS = {
    "offset": "number",
    "time": "since",
    "type": "type",
    "key": "key",
    "reason": "reason",
    "error": "error",
}
_DATA = (
    "offset",
    "time",
    "type",
    "key",
    "reason",
    "error",
    "origin_topic",
    "origin_partition",
    "origin_offset",
)


@app.command("list")
def list_letters(
    context: typer.Context,
    service: Annotated[
        str | None, typer.Argument(help="All services where it is absent.", show_default=False)
    ] = None,
) -> None:
    """List a service's dead letters, or how many each service has."""
    settings, screen = ClientSettings.load(), terminal(context)
    if service is None:
        counts = run(settings, letters.services(settings))
        rows = [{"service": name, "letters": count} for name, count in counts.items()]
        screen.show(
            rows, lambda it: table(it, {"service": "service", "letters": "letters"}, empty="no service yet")
        )
        return
    found = [_data(letter) for letter in run(settings, letters.read(settings, service))]
    screen.show(found, lambda rows: _table(service, rows))


@app.command()
def show(context: typer.Context, service: Service, number: Number) -> None:
    """Show one letter whole: why it was buried, its headers and its data."""
    settings = ClientSettings.load()
    (letter,) = letters.chosen(run(settings, letters.read(settings, service)), [number])
    terminal(context).show(_whole(letter), _drawn)


@app.command()
def replay(
    context: typer.Context,
    service: Service,
    numbers: Annotated[list[int], typer.Argument(help="Which letters.", show_default=False)] = [],  # noqa: B006 - typer copies it
    *,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    drop_after: Annotated[
        bool, typer.Option("--drop", help="With --all: drop them once they are sent.")
    ] = False,
) -> None:
    """Send letters back to where they came from, for that service alone.

    A letter stays listed until it is dropped; one that fails again becomes another letter.
    """
    settings = ClientSettings.load()
    _require_choice("numbers", numbers, everything=everything)
    if drop_after and not everything:
        raise InvalidInput.of("drop", "--drop", "allowed: with --all, since Kafka drops from the front")
    found = letters.chosen(run(settings, letters.read(settings, service)), numbers)
    run(settings, letters.send_back(settings, service, found))
    if drop_after and found:
        run(settings, letters.drop(settings, service, up_to=found[-1].offset))
    said = {"replayed": [letter.offset for letter in found], "dropped": drop_after}
    terminal(context).show(said, lambda _: f"{len(found)} sent back to {service}")


@app.command()
def drop(
    context: typer.Context,
    service: Service,
    *,
    up_to: Annotated[int | None, typer.Option(help="The last number to go; all before it go too.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Drop letters for good. Kafka drops from the front: a number takes all before it along."""
    settings = ClientSettings.load()
    _require_choice("--up-to NUMBER", [] if up_to is None else [up_to], everything=everything)
    found = run(settings, letters.read(settings, service))
    last = found[-1:] if everything else letters.chosen(found, [up_to] if up_to is not None else [])
    gone = [letter.offset for letter in found if last and letter.offset <= last[0].offset]
    if gone:
        run(settings, letters.drop(settings, service, up_to=gone[-1]))
    terminal(context).show({"dropped": gone}, lambda _: f"{len(gone)} dropped")


def _require_choice(said_as: str, numbers: Sequence[int], *, everything: bool) -> None:
    if bool(numbers) == everything:
        raise InvalidInput.missing("the choice of letters", f"allowed: either {said_as}, or --all")


def _table(service: str, rows: list[dict[str, Any]]) -> RenderableType:
    """Letters with the first line of their errors."""
    brief = [
        row | {"error": row["error"].partition("\n")[0], "time": times.shown(row["time"])} for row in rows
    ]
    return table(brief, _COLUMNS, empty=f"{service} has no dead letters")


def _data(letter: Letter) -> dict[str, Any]:
    return {name: getattr(letter, name) for name in _DATA}


def _whole(letter: Letter) -> dict[str, Any]:
    headers = {
        name: (value or b"").decode(errors="backslashreplace") for name, value in letter.original_headers
    }
    return _data(letter) | {"headers": headers, "value": _value(letter.record.value)}


def _value(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value.decode(errors="backslashreplace")


def _drawn(data: dict[str, Any]) -> RenderableType:
    origin = f"{data['origin_topic']} {data['origin_partition']}/{data['origin_offset']}"
    lines = {
        "letter": data["offset"],
        "since": times.shown(data["time"]),
        "from": origin,
        "reason": data["reason"],
    }
    value = data["value"] if isinstance(data["value"], str) else json_text(data["value"], indent=2)
    return Group(
        *(Text.assemble((f"{name:<8}", "bold"), str(text)) for name, text in lines.items()),
        Text.assemble(("error   ", "bold"), (data["error"], "red")),
        *(Text(f"{name}: {text}", style="dim") for name, text in data["headers"].items()),
        Text(value),
    )

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


Numbers = Annotated[list[int], typer.Argument(help="Which letters.", show_default=False)]
UpTo = Annotated[int | None, typer.Option(help="This number and all before it.", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command()
def replay(
    context: typer.Context,
    service: Service,
    numbers: Numbers = [],  # noqa: B006 - typer copies it
    *,
    up_to: UpTo = None,
    everything: Everything = False,
    drop_after: Annotated[bool, typer.Option("--drop", help="Drop them once they are sent.")] = False,
) -> None:
    """Send letters back to where they came from, for that service alone.

    A letter stays listed until it is dropped; one that fails again becomes another letter.
    """
    settings = ClientSettings.load()
    _require_one_choice(numbers, up_to, everything=everything)
    found = run(settings, letters.read(settings, service))
    meant = _meant(found, numbers, up_to)
    if drop_after:
        _require_front(found, meant)
    run(settings, letters.send_back(settings, service, meant))
    if drop_after and meant:
        run(settings, letters.drop(settings, service, up_to=max(letter.offset for letter in meant)))
    said = {"replayed": [letter.offset for letter in meant], "dropped": drop_after}
    terminal(context).show(said, lambda _: f"{len(meant)} sent back to {service}")


@app.command()
def drop(
    context: typer.Context,
    service: Service,
    numbers: Numbers = [],  # noqa: B006 - typer copies it
    *,
    up_to: UpTo = None,
    everything: Everything = False,
) -> None:
    """Drop letters for good. Kafka drops from the front: the numbers must be the first ones."""
    settings = ClientSettings.load()
    _require_one_choice(numbers, up_to, everything=everything)
    found = run(settings, letters.read(settings, service))
    meant = _meant(found, numbers, up_to)
    _require_front(found, meant)
    gone = sorted(letter.offset for letter in meant)
    if gone:
        run(settings, letters.drop(settings, service, up_to=gone[-1]))
    terminal(context).show({"dropped": gone}, lambda _: f"{len(gone)} dropped")


def _require_one_choice(numbers: Sequence[int], up_to: int | None, *, everything: bool) -> None:
    if [bool(numbers), up_to is not None, everything].count(True) != 1:
        raise InvalidInput.missing(
            "the choice of letters", "allowed: either numbers, --up-to NUMBER, or --all"
        )


def _meant(found: Sequence[Letter], numbers: Sequence[int], up_to: int | None) -> list[Letter]:
    """The letters of a choice; all where there is neither a number nor a last one."""
    if up_to is None:
        return letters.chosen(found, list(dict.fromkeys(numbers)))
    (last,) = letters.chosen(found, [up_to])
    return [letter for letter in found if letter.offset <= last.offset]


def _require_front(found: Sequence[Letter], meant: Sequence[Letter]) -> None:
    """Let only letters pass with which none is dropped that was not meant."""
    offsets = {letter.offset for letter in meant}
    last = max(offsets, default=-1)
    kept = [letter.offset for letter in found if letter.offset <= last and letter.offset not in offsets]
    if kept:
        before = ", ".join(map(str, kept))
        allowed = f"allowed: with {before}, as Kafka drops from the front; or --up-to {last}"
        raise InvalidInput.of("numbers", last, allowed)


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

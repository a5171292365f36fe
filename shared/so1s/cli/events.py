"""`so1s events`: watch what happens, and feed a service the past again."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import typer
from aiokafka import ConsumerRecord
from rich.text import Text

from so1s.broker.reader import Reader, decoded
from so1s.cli import offsets
from so1s.cli.ask import run
from so1s.cli.terminal import Terminal, print_json, terminal
from so1s.cli.times import moment, shown
from so1s.errors import InvalidInput
from so1s.events import Event, catalogue
from so1s.platform import ClientSettings

app = typer.Typer(no_args_is_help=True, help="Watch events, and feed a service the past again.")

_END = ", and as they come; Ctrl-C ends it"
_SAMPLES = ("UsageSampled", "UsageCorrected", "HealthSampled", "GatewaySampled")

Type = Annotated[
    list[str], typer.Option("--type", "-t", help="Such as RoutesApplied; may be given more than once.")
]
From = Annotated[str, typer.Option("--from", help="A time (2026-11-24T12:00) or an age (10m, 2h, 7d).")]


@app.command()
def tail(
    context: typer.Context,
    *,
    types: Type = [],  # noqa: B006 - typer copies it
    account: Annotated[str | None, typer.Option(help="Of this account alone.", show_default=False)] = None,
    since: Annotated[
        str, typer.Option("--from", help="First what came since then: 10m, 2h, 7d, or a time.")
    ] = "0s",
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C.")] = True,
) -> None:
    """Show events as they come. Samples of usage and health only where --type asks for them."""
    settings, screen = ClientSettings.load(), terminal(context)
    known = [each for name, each in by_name().items() if name not in _SAMPLES]
    classes = [named(each) for each in types] or known
    at = moment(since)
    which = ", ".join(each.__name__ for each in classes) if types else "all events but samples"
    whose = f" of {account}" if account else ""
    screen.note(f"{which}{whose} at {settings.kafka} since {shown(at.isoformat())}{_END if follow else ''}")
    run(settings, _tail(screen, settings, classes, account, at, follow=follow))


@app.command()
def replay(
    context: typer.Context,
    *,
    since: From,
    type: Annotated[str, typer.Option("--type", "-t", help="Which events, such as ModelUploaded.")],  # noqa: A002 - the option's word
    service: Annotated[
        str, typer.Option("--to", help="The service that shall handle them again; it must be stopped.")
    ],
) -> None:
    """Set a stopped service back to a time.

    When it starts, it takes the events since then; no other service sees them again. What it handled
    already its inbox knows, and leaves as it is: this feeds a new consumer the past, and repeats nothing. A
    dead letter is another matter: so1s dlq replay.
    """
    settings, at = ClientSettings.load(), moment(since)
    found = run(settings, offsets.rewind(settings, service, named(type), at))
    said = {"group": found.group, "from": at, "events": found.events}
    terminal(context).show(said, lambda _: f"{service} takes {found.events} events when it starts")


def by_name() -> dict[str, type[Event]]:
    """Every event class, by its bare name."""
    return {each.__name__: each for each in catalogue().values()}


def named(name: str) -> type[Event]:
    """The class of an event type, by its bare or its full name.

    Raises:
        InvalidInput: there is none.
    """
    known = by_name()
    found = known.get(name) or catalogue().get(name)
    if found is None:
        raise InvalidInput.of("type", name, f"allowed: {', '.join(sorted(known))}")
    return found


async def _tail(
    screen: Terminal,
    settings: ClientSettings,
    classes: list[type[Event]],
    account: str | None,
    since: datetime,
    *,
    follow: bool,
) -> None:
    key = account.encode() if account else None
    async with Reader(settings, [each.topic.name for each in classes], since=since) as reader:
        past = sorted([record async for record in reader.past()], key=lambda record: record.timestamp)
        for record in past:
            _show(screen, record, key)
        if follow:
            async with aclosing(reader.coming()) as coming:
                async for record in coming:
                    _show(screen, record, key)


def _show(screen: Terminal, record: ConsumerRecord, account: bytes | None) -> None:
    if account and (record.key or b"").partition(b"/")[0] != account:
        return
    data = as_data(record)
    if screen.is_json:
        print_json(data, indent=None)
    else:
        screen.console.print(_line(data), soft_wrap=True)


def as_data(record: ConsumerRecord) -> dict[str, Any]:
    """A record for programs: its envelope, and its data where that can be read."""
    received = decoded(record)
    key = (record.key or b"").decode(errors="replace")
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "key": key}
    if received is None:
        return place | {"type": None, "unreadable": (record.value or b"").decode(errors="replace")}
    return place | {
        "type": received.event.type,
        "id": received.id,
        "source": received.source,
        "time": received.time.isoformat() if received.time else None,
        "cause_id": received.cause_id or None,
        "correlation_id": received.correlation_id,
        "data": received.event.model_dump(mode="json"),
    }


def _line(data: dict[str, Any]) -> Text:
    if data["type"] is None:
        return Text.assemble(
            (f"{data['topic']} {data['partition']}/{data['offset']} is unreadable: ", "red"),
            data["unreadable"],
        )
    event = named(data["type"])
    style = "red" if event.__name__.endswith(("Failed", "Rejected")) else "bold"
    said = {name: value for name, value in data["data"].items() if name not in event.key_fields and value}
    brief = " ".join(f"{name}={_brief(value)}" for name, value in said.items())
    clock = (data["time"] or "")[11:23]
    return Text.assemble(
        (f"{clock:<12}  ", "dim"), (f"{event.__name__:<24} ", style), f"{data['key']:<24} ", (brief, "dim")
    )


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 48 else text[:47] + "…"  # noqa: PLR2004 - so a line stays readable

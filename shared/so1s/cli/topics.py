"""`so1s topics`: what Kafka must have, and other ways to make it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from so1s.broker.reader import partitions_of
from so1s.broker.topics import Mismatch, provision, wanted
from so1s.cli import topic_formats
from so1s.cli.ask import run
from so1s.cli.terminal import table, terminal
from so1s.errors import So1sError
from so1s.events import Topic
from so1s.platform import ClientSettings

app = typer.Typer(no_args_is_help=True, help="The topics of the platform: see, make, or export them.")

SERVICES = ("builder", "deployer", "router", "collector", "billing", "alerter", "console")
_COLUMNS = {"topic": "topic", "partitions": "partitions", "retention_days": "days", "state": "state"}

Consumers = Annotated[
    list[str], typer.Option("--consumer", help="A service of your own, whose dead letters need a topic.")
]
Replication = Annotated[int, typer.Option(min=1, help="Replicas of each topic; a cluster wants 3.")]


class Format(StrEnum):
    """What reads the export."""

    shell = "shell"
    strimzi = "strimzi"
    terraform = "terraform"


class PartitionsDiffer(So1sError):
    """Topics exist with other numbers of partitions than they should have."""


@app.command("list")
def list_topics(context: typer.Context, *, consumers: Consumers = []) -> None:  # noqa: B006 - typer copies it
    """Compare what the platform wants with what Kafka has."""
    settings = ClientSettings.load()
    topics = _wanted(consumers)
    partitions = run(settings, partitions_of(settings, {topic.name for topic in topics}))
    rows = [_row(topic, sum(each.topic == topic.name for each in partitions)) for topic in topics]
    terminal(context).show(rows, lambda it: table(it, _COLUMNS, empty="no topics"))


@app.command()
def apply(
    context: typer.Context,
    *,
    consumers: Consumers = [],  # noqa: B006 - typer copies it
    replication: Replication = 1,
) -> None:
    """Make the topics that are missing; none is changed."""
    settings = ClientSettings.load()
    topics = _wanted(consumers)
    wrong = run(settings, provision(settings, topics, replication=replication))
    if wrong:
        raise PartitionsDiffer("\n  ".join(["left as they are:", *map(_mismatch, wrong)]))
    terminal(context).show(
        [topic.name for topic in topics], lambda names: f"✓ all {len(names)} topics are there"
    )


@app.command()
def export(
    form: Annotated[Format, typer.Option("--format", help="What reads it.")],
    *,
    consumers: Consumers = [],  # noqa: B006 - typer copies it
    replication: Replication = 3,
    cluster: Annotated[str, typer.Option(help="Strimzi: the name of the Kafka resource.")] = "kafka",
) -> None:
    """Print the topics for an operator who makes them by other means."""
    topics = _wanted(consumers)
    written = {
        Format.shell: lambda: topic_formats.shell(topics, replication),
        Format.strimzi: lambda: topic_formats.strimzi(topics, replication, cluster),
        Format.terraform: lambda: topic_formats.terraform(topics, replication),
    }
    typer.echo(written[form]())


def _wanted(consumers: Sequence[str]) -> list[Topic]:
    return wanted([*SERVICES, *consumers])


def _row(topic: Topic, partitions: int) -> dict[str, Any]:
    state = "ready" if partitions == topic.partitions else f"has {partitions}" if partitions else "missing"
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "retention_days": topic.retention_days,
        "state": state,
    }


def _mismatch(wrong: Mismatch) -> str:
    return f"{wrong.topic.name} has {wrong.partitions} partitions, not {wrong.topic.partitions}"

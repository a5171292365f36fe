"""The story of a version: every event that its uploads brought about, from the topics alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord

from so1s.broker.reader import Reader, correlation_id, decoded
from so1s.errors import So1sError
from so1s.events import GatewaySampled, HealthSampled, ModelUploaded, UsageCorrected, UsageSampled, catalogue
from so1s.events.envelope import Received
from so1s.platform import ClientSettings

_SAMPLES = (GatewaySampled, HealthSampled, UsageSampled, UsageCorrected)
_CLOCKS_APART = timedelta(minutes=5)
"""Producers stamp their records: an answer may bear an earlier time than its question."""


@dataclass(frozen=True)
class Usage:
    """What was metered of a version."""

    windows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    """The end of the last window."""
    qualities: dict[str, int] = field(default_factory=dict)
    """How many windows are complete, partial or gaps."""


@dataclass(frozen=True)
class Chain:
    """One upload of a version, and what it brought about, in the order of their times."""

    upload: Received[ModelUploaded]
    events: list[Received[Any]]


@dataclass(frozen=True)
class Story:
    """All that became of a version, its usage summed up."""

    last: Chain
    earlier: list[Chain]
    """The times that it was published before, the oldest first; without events unless these are asked for."""
    usage: Usage


async def read_story(
    settings: ClientSettings, account: str, model: str, version: str, *, whole: bool = False
) -> Story:
    """Find a version's uploads and what followed from the last one, or from all of them.

    Raises:
        So1sError: Kafka keeps no upload of the version.
        KafkaError: Kafka does not answer.
    """
    uploads = await _uploads(settings, account, model, version)
    told = uploads if whole else uploads[-1:]
    times = [each.time for each in told if each.time]
    since = min(times) - _CLOCKS_APART if times else None
    chains = await _chains(settings, told, since)
    events = [event for chain in chains for event in chain.events]
    usage = await _usage(settings, account, (model, version), since, _deployments(events))
    earlier = chains[:-1] if whole else [Chain(each, []) for each in uploads[:-1]]
    return Story(chains[-1], earlier, usage)


async def _chains(
    settings: ClientSettings, uploads: Sequence[Received[ModelUploaded]], since: datetime | None
) -> list[Chain]:
    ids = {each.correlation_id for each in uploads}
    topics = [each.topic.name for each in catalogue().values() if not issubclass(each, _SAMPLES)]
    found = await _read(settings, topics, since, lambda record: correlation_id(record) in ids)
    events = sorted(_distinct(found), key=lambda each: str(each.time))
    return [
        Chain(upload, [each for each in events if each.correlation_id == upload.correlation_id])
        for upload in uploads
    ]


async def _usage(
    settings: ClientSettings,
    account: str,
    version: tuple[str, str],
    since: datetime | None,
    deployments: set[str],
) -> Usage:
    topics = [UsageSampled.topic.name, UsageCorrected.topic.name]
    prefixes = tuple(f"{account}/{name}/".encode() for name in {version[0], *deployments})
    windows = await _read(settings, topics, since, lambda record: (record.key or b"").startswith(prefixes))
    return summed([each for each in windows if (each.event.model, each.event.version) == version])


def summed(samples: Sequence[Received[UsageSampled]]) -> Usage:
    """Usage events, each window of a replica counted once."""
    windows = {(each.event.replica, each.event.window_start): each.event for each in samples}.values()
    if not windows:
        return Usage()
    qualities = [window.quality for window in windows]
    return Usage(
        windows=len(windows),
        first=min(window.window_start for window in windows),
        last=max(window.window_start + timedelta(seconds=window.window_seconds) for window in windows),
        qualities={quality: qualities.count(quality) for quality in sorted(set(qualities))},
    )


async def _uploads(
    settings: ClientSettings, account: str, model: str, version: str
) -> list[Received[ModelUploaded]]:
    """Each time that a version was published, the oldest first."""
    name = f"{account}/{model}".encode()
    uploads = await _read(
        settings, [ModelUploaded.topic.name], None, lambda record: record.key in {name, None}
    )
    mine = [each for each in uploads if each.event.version == version and each.event.key.encode() == name]
    if not mine:
        raise So1sError(
            f"Kafka keeps no upload of {model}@{version} by {account}: the name is another one, or it was "
            f"longer ago than {ModelUploaded.topic.retention_days} days; so1s build list has all versions"
        )
    latest_first = sorted(mine, key=lambda each: str(each.time), reverse=True)
    as_said_first = {each.correlation_id: each for each in latest_first}
    return sorted(as_said_first.values(), key=lambda each: str(each.time))


def _deployments(events: Sequence[Received[Any]]) -> set[str]:
    return {each.event.deployment for each in events if hasattr(each.event, "deployment")}


def _distinct(found: Sequence[Received[Any]]) -> list[Received[Any]]:
    """Each event once: a producer that died between sending and knowing so sends again."""
    return list({(each.source, each.id): each for each in reversed(found)}.values())


async def _read(
    settings: ClientSettings,
    topics: Sequence[str],
    since: datetime | None,
    wanted: Callable[[ConsumerRecord], bool],
) -> list[Received[Any]]:
    async with Reader(settings, topics, since=since) as reader:
        return [each async for record in reader.past() if wanted(record) and (each := decoded(record))]

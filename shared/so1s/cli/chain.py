"""The story of a version: every event that its uploads brought about, from the topics alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord

from so1s.broker.reader import Reader, correlation_id, decoded
from so1s.errors import So1sError
from so1s.events import (
    BuildFailed,
    GatewaySampled,
    HealthSampled,
    ImageBuilt,
    ModelUploaded,
    UsageCorrected,
    UsageSampled,
    catalogue,
)
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

    @property
    def was_in_vain(self) -> bool:
        """Whether it became no image, such as where other bytes had the version's name already."""
        kinds = {type(each.event) for each in self.events}
        return BuildFailed in kinds and ImageBuilt not in kinds


@dataclass(frozen=True)
class Story:
    """All that became of a version, its usage summed up."""

    last: Chain
    earlier: list[Chain]
    """The times that it was published before, the oldest first; without events unless these are asked for,
    or those after them were in vain."""
    usage: Usage


async def read_story(
    settings: ClientSettings, account: str, model: str, version: str, *, whole: bool = False
) -> Story:
    """Find a version's uploads and what followed from the last one, or from all of them.

    Where the last one was in vain, what followed from the one that it would have replaced is told as well.

    Raises:
        So1sError: Kafka keeps no upload of the version.
        KafkaError: Kafka does not answer.
    """
    uploads = await _uploads(settings, account, model, version)
    chains = await _chains(settings, uploads if whole else uploads[-1:])
    if chains[-1].was_in_vain and not whole:
        chains = _from_the_last_image(await _chains(settings, uploads))
    events = [event for chain in chains for event in chain.events]
    usage = await _usage(
        settings, account, (model, version), _since(uploads[-len(chains) :]), _deployments(events)
    )
    untold = [Chain(each, []) for each in uploads[: -len(chains)]]
    return Story(chains[-1], [*untold, *chains[:-1]], usage)


def _from_the_last_image(chains: list[Chain]) -> list[Chain]:
    """The last one, and those back to the one whose image stands; the last one alone where there is none."""
    of_images = [position for position, chain in enumerate(chains) if not chain.was_in_vain]
    return chains[of_images[-1] :] if of_images else chains[-1:]


def _since(uploads: Sequence[Received[ModelUploaded]]) -> datetime | None:
    times = [each.time for each in uploads if each.time]
    return min(times) - _CLOCKS_APART if times else None


async def _chains(settings: ClientSettings, uploads: Sequence[Received[ModelUploaded]]) -> list[Chain]:
    since = _since(uploads)
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
            f"longer ago than {ModelUploaded.topic.retention_days} days; so1s build list has all versions, "
            "so1s dlq list builder what was refused"
        )
    _require_own_id(uploads, mine[-1])
    latest_first = sorted(mine, key=lambda each: str(each.time), reverse=True)
    as_said_first = {each.correlation_id: each for each in latest_first}
    return sorted(as_said_first.values(), key=lambda each: str(each.time))


def _require_own_id(uploads: Sequence[Received[ModelUploaded]], mine: Received[ModelUploaded]) -> None:
    """Of events with one id, the first counts, and nothing follows from the others."""
    first = next(each for each in uploads if (each.source, each.id) == (mine.source, mine.id))
    if first.event.version != mine.event.version:
        raise So1sError(
            f"nothing followed from {mine.event.model}@{mine.event.version}: it was published with the id "
            f"{mine.id} of version {first.event.version}, and of events with one id the first alone counts; "
            "publish it with an id of its own"
        )


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

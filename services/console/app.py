"""The composition root: settings → store, uploads, door, API → service."""

from __future__ import annotations

import time

import structlog

from services.console import audit, chains, standing
from services.console.adapters.builds_http import HttpBuilds
from services.console.adapters.uploads_directory import DirectoryUploads
from services.console.api import artifacts, events, parts, token, versions
from services.console.api import builds as builds_api
from services.console.api import chains as chains_api
from services.console.api import drops as drops_api
from services.console.api import status as status_api
from services.console.api.chains import News
from services.console.api.door import Door
from services.console.domain.attempts import Attempts
from services.console.domain.drops import Base
from services.console.handlers import consumer
from services.console.heard import Heard
from services.console.ports import PartUploads, Receiver, Uploads
from services.console.reconciler import Drops
from services.console.settings import Settings
from services.console.watchers import Notifications
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store

log = structlog.get_logger()

_PRUNE_SECONDS = 3600.0
_DAY_SECONDS = 86_400


def build(settings: Settings) -> Service:
    """Put the console together."""
    store = Store(
        settings.database_url.get_secret_value(), producer="console", schema=settings.database_schema
    )
    door = Door(store, Attempts(settings.failed_attempts, settings.failed_attempts_seconds), time.time)
    uploads, receiver, in_parts = _uploads(settings)

    async def prune() -> None:
        async with store.transaction() as tx:
            await chains.prune(tx, settings.chain_days)
            await audit.prune(tx, settings.audit_days)
            await standing.prune(tx, settings.chain_days)

    return Service(
        "console",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.console.migrations",
        loops=[
            Loop("forget", prune, every_seconds=_PRUNE_SECONDS),
            *_part_loops(settings, in_parts),
            *_drop_loops(settings, store),
        ],
        routes=[
            *events.routes(door, store, settings),
            *chains_api.routes(door, store, News(store, settings.max_waits)),
            *artifacts.routes(door, store, settings, uploads, receiver),
            *(parts.routes(door, store, settings, in_parts) if in_parts else ()),
            *versions.routes(door, store),
            *token.routes(door),
            *builds_api.routes(door, HttpBuilds(settings.builder_url) if settings.builder_url else None),
            *drops_api.routes(door, store),
            *status_api.routes(door, store),
        ],
    )


def _uploads(settings: Settings) -> tuple[Uploads, Receiver | None, PartUploads | None]:
    """Where artifacts go; who takes bytes for a place that cannot; a place that takes them in parts."""
    if settings.artifacts.startswith("s3://"):
        from services.console.adapters.uploads_s3 import S3Uploads  # a laptop needs no boto3

        on_s3 = S3Uploads(settings)
        return on_s3, None, on_s3.parts
    directory = DirectoryUploads(settings.artifacts, settings.upload_url_seconds)
    return directory, directory, None


def _part_loops(settings: Settings, in_parts: PartUploads | None) -> list[Loop]:
    """What ends uploads that nobody goes on with: a store keeps, and charges for, parts without end."""
    if in_parts is None:
        return []

    async def end() -> None:
        if ended := await in_parts.abort_abandoned(time.time() - settings.parts_days * _DAY_SECONDS):
            log.info("abandoned uploads were ended", uploads=ended)

    return [Loop("abandoned uploads", end, every_seconds=_PRUNE_SECONDS)]


def _drop_loops(settings: Settings, store: Store) -> list[Loop]:
    """What publishes the files of a watched bucket; nothing where none is watched."""
    if settings.drops is None:
        return []
    from services.console.adapters.listing_s3 import S3Listing  # a laptop needs no boto3

    base, heard = Base.parse(settings.drops), Heard()
    drops = Drops(base, S3Listing(settings), store, heard, settings.drops_days)
    listing = Loop("drops", drops.reconcile, every_seconds=settings.drops_seconds)
    if settings.drops_topic is None:
        return [listing]
    notifications = Notifications(settings, settings.drops_topic, base, heard, listing.wake)
    return [listing, Loop("notifications", notifications.watch, every_seconds=settings.drops_seconds)]

"""The composition root: settings → store, uploads, door, API → service."""

from __future__ import annotations

import time

from services.console import audit, chains
from services.console.adapters.uploads_directory import DirectoryUploads
from services.console.api import artifacts, events, token, versions
from services.console.api import chains as chains_api
from services.console.api.chains import News
from services.console.api.door import Door
from services.console.domain.attempts import Attempts
from services.console.handlers import consumer
from services.console.ports import Receiver, Uploads
from services.console.settings import Settings
from so1s.loop import Loop
from so1s.service import Service
from so1s.store import Store

_PRUNE_SECONDS = 3600.0


def build(settings: Settings) -> Service:
    """Put the console together."""
    store = Store(
        settings.database_url.get_secret_value(), producer="console", schema=settings.database_schema
    )
    door = Door(store, Attempts(settings.failed_attempts, settings.failed_attempts_seconds), time.time)
    uploads, receiver = _uploads(settings)

    async def prune() -> None:
        async with store.transaction() as tx:
            await chains.prune(tx, settings.chain_days)
            await audit.prune(tx, settings.audit_days)

    return Service(
        "console",
        settings,
        consumer=consumer,
        store=store,
        migrations="services.console.migrations",
        loops=[Loop("forget", prune, every_seconds=_PRUNE_SECONDS)],
        routes=[
            *events.routes(door, store, settings),
            *chains_api.routes(door, store, News(store, settings.max_waits)),
            *artifacts.routes(door, store, settings, uploads, receiver),
            *versions.routes(door, store),
            *token.routes(door),
        ],
    )


def _uploads(settings: Settings) -> tuple[Uploads, Receiver | None]:
    """Where artifacts go, and who takes the bytes where the place itself cannot."""
    if settings.artifacts.startswith("s3://"):
        from services.console.adapters.uploads_s3 import S3Uploads  # a laptop needs no boto3

        return S3Uploads(settings), None
    directory = DirectoryUploads(settings.artifacts, settings.upload_url_seconds)
    return directory, directory

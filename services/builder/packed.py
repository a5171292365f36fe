"""Layers of libraries that one of a builder's replicas packs, while the others wait for it.

Each replica has a disk of its own; the database, and the registry where one is said, are all replicas'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy import BigInteger, Column, String, Table, select

from services.builder.domain.image import Layer
from services.builder.ports import Log
from services.builder.stop import ended
from services.builder.store import metadata
from so1s.store import Store, upsert

log = structlog.get_logger()

_BEATS = 10
_POLL_SECONDS = 0.25

packed_layers = Table(
    "packed_layers",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("diff_id", String(71), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)


class StoredLayers:
    """See `ports.PackedLayers`."""

    def __init__(self, store: Store, holder: str, lease_seconds: float) -> None:
        """Share layers with the other replicas.

        Args:
            store: of the builds.
            holder: this replica, and the same after it was started again.
            lease_seconds: a replica that is silent for so long is taken to be dead, and another one packs.
        """
        self._store = store
        self._holder = holder
        self._lease_seconds = lease_seconds

    @asynccontextmanager
    async def turn(self, key: str, say: Log) -> AsyncGenerator[None, None]:
        """See `ports.PackedLayers`."""
        name = f"libraries/{key}"
        if not await self._hold(name):
            say("another builder installs these libraries: waiting for it")
            while not await self._hold(name):  # noqa: ASYNC110 - what is waited for is in a database
                await asyncio.sleep(_POLL_SECONDS)
        keeping = asyncio.create_task(self._keep(name))
        try:
            yield
        finally:
            keeping.cancel()
            await ended(keeping)
            await self._store.leases.release(name, self._holder)

    async def known(self, key: str) -> Layer | None:
        """See `ports.PackedLayers`."""
        columns = packed_layers.c
        statement = select(columns.digest, columns.diff_id, columns.size_bytes).where(columns.key == key)
        async with self._store.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return Layer.packed(*row) if row else None

    async def tell(self, key: str, layer: Layer) -> None:
        """See `ports.PackedLayers`."""
        said = {"digest": layer.digest, "diff_id": layer.diff_id, "size_bytes": layer.size_bytes}
        async with self._store.transaction() as tx:
            await upsert(tx, packed_layers, {"key": key, **said}, keys=("key",), update=tuple(said))

    async def _hold(self, name: str) -> bool:
        return await self._store.leases.hold(name, self._holder, self._lease_seconds)

    async def _keep(self, name: str) -> None:
        """Prolong the lease; where that fails others install the same, which costs time and nothing else."""
        while True:
            await asyncio.sleep(self._lease_seconds / _BEATS)
            try:
                await self._hold(name)
            except Exception as error:  # noqa: BLE001 - whatever the database says, the libraries are installed
                log.warning("the lease of libraries cannot be prolonged", lease=name, error=repr(error))


class OwnLayers:
    """Where no other replica is."""

    def turn(self, key: str, say: Log) -> contextlib.nullcontext[None]:
        """See `ports.PackedLayers`."""
        del key, say
        return contextlib.nullcontext()

    async def known(self, key: str) -> Layer | None:
        """See `ports.PackedLayers`."""
        del key

    async def tell(self, key: str, layer: Layer) -> None:
        """See `ports.PackedLayers`."""

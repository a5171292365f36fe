"""Uploads that were refused before there was anything to build: of each version the last one.

A version that is built stays so; its refused upload stands beside it, until another one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Float, String, Table, Text, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.builder.store import metadata
from so1s.events import BuildFailed, ModelUploaded
from so1s.store import Transaction, upsert

refused_uploads = Table(
    "refused_uploads",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("model", String(40), primary_key=True),
    Column("version", String(63), primary_key=True),
    Column("refused_at", Float, nullable=False),  # seconds since the epoch
    Column("reason", String(32), nullable=False),
    Column("message", Text, nullable=False),
)
_KEY = ("account", "model", "version")
_SAID = ("refused_at", "reason", "message")


async def record(tx: Transaction, failed: BuildFailed) -> None:
    """Keep why an upload was refused."""
    row = failed.model_dump(include={*_KEY, "reason", "message"}) | {"refused_at": tx.now.timestamp()}
    await upsert(tx, refused_uploads, row, keys=_KEY, update=_SAID)


async def forget(tx: Transaction, uploaded: ModelUploaded) -> None:
    """An upload of the version was taken: what was wrong before is mended."""
    key = [getattr(uploaded, name) for name in _KEY]
    await tx.execute(delete(refused_uploads).where(_is(*key)))


async def find(connection: AsyncConnection, account: str, model: str, version: str) -> str | None:
    """Why the last upload of a version was refused; None where it was not."""
    query = select(refused_uploads.c.message).where(_is(account, model, version))
    return await connection.scalar(query)


async def of_account(connection: AsyncConnection, account: str) -> list[Mapping[str, Any]]:
    """The refused uploads of an account."""
    query = select(refused_uploads).where(refused_uploads.c.account == account)
    return list((await connection.execute(query)).mappings())


def _is(account: str, model: str, version: str) -> Any:
    columns = refused_uploads.c
    return and_(columns.account == account, columns.model == model, columns.version == version)

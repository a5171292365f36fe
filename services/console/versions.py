"""The versions of each model, for those who ask which number is the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.console.tables import versions
from so1s.events import ModelUploaded
from so1s.events.envelope import Received
from so1s.store import Transaction, upsert

_KEYS = ["account", "model", "version"]


async def remember(tx: Transaction, batch: Sequence[Received]) -> None:
    """Keep the versions that were uploaded; the first bytes under a version's name are the version's."""
    rows = [_row(each.event) for each in batch if isinstance(each.event, ModelUploaded)]
    if rows:
        await upsert(tx, versions, sorted(rows, key=lambda row: [row[key] for key in _KEYS]), keys=_KEYS)


async def of_model(connection: AsyncConnection, account: str, model: str) -> list[Mapping[str, Any]]:
    """A model's versions and their checksums."""
    mine = and_(versions.c.account == account, versions.c.model == model)
    query = select(versions.c.version, versions.c.sha256).where(mine).order_by(versions.c.version)
    return list((await connection.execute(query)).mappings())


def _row(uploaded: ModelUploaded) -> dict[str, Any]:
    return {**{key: getattr(uploaded, key) for key in _KEYS}, "sha256": uploaded.artifact.sha256}

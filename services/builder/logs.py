"""The table of logs: of each try of a build its lines, in chunks as they were stored."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Column, Float, Integer, String, Table, Text, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.builder.build_log import BuildLog
from services.builder.domain.build import Build
from services.builder.store import metadata
from so1s.store import Store, Transaction, upsert

_DAY_SECONDS = 86_400
_KEY = ("account", "model", "version", "number", "try", "position")

build_logs = Table(
    "build_logs",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("model", String(40), primary_key=True),
    Column("version", String(63), primary_key=True),
    Column("number", Integer, primary_key=True),  # of the version's build
    Column("try", Integer, primary_key=True),  # of that build
    Column("position", Integer, primary_key=True),  # of the chunk's first line in this try
    Column("at", Float, nullable=False, index=True),  # seconds since the epoch
    Column("lines", Text, nullable=False),
)


async def append(tx: Transaction, build: Build, log: BuildLog) -> None:
    """Store what a log has new; for whose build it is alone, as nothing may come between older lines."""
    chunk = log.waiting
    if chunk is None:
        return
    uploaded = build.uploaded
    row = {
        "account": uploaded.account,
        "model": uploaded.model,
        "version": uploaded.version,
        "number": log.number,
        "try": log.try_,
        "position": chunk.position,
        "at": tx.now.timestamp(),
        "lines": "\n".join(chunk.lines),
    }
    # Once more where the answer to a commit was lost: the same lines, and perhaps some more.
    await upsert(tx, build_logs, row, keys=_KEY, update=("at", "lines"))
    tx.after_commit(partial(log.stored, chunk))


async def read(connection: AsyncConnection, account: str, model: str, version: str, number: int) -> list[str]:
    """The lines of a version's build, all tries."""
    columns = build_logs.c
    is_build = and_(columns.account == account, columns.model == model, columns.version == version)
    query = (
        select(columns.lines)
        .where(is_build, columns.number == number)
        .order_by(columns["try"], columns.position)
    )
    return [line for text in await connection.scalars(query) for line in text.split("\n")]


async def prune(store: Store, days: int) -> None:
    """Forget the lines that are older than that."""
    async with store.transaction() as tx:
        horizon = tx.now.timestamp() - days * _DAY_SECONDS
        await tx.execute(delete(build_logs).where(build_logs.c.at < horizon))

"""The table of logs: of each try of a build its lines, in chunks as they were stored."""

from __future__ import annotations

from functools import partial

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Integer,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    or_,
    select,
)
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


async def read(
    connection: AsyncConnection, account: str, model: str, version: str, number: int, *, after: int = 0
) -> list[str]:
    """The lines of a version's build, all tries, but those first ones: whoever follows a log has them."""
    columns = build_logs.c
    try_, position = columns["try"], columns.position
    is_build = and_(
        columns.account == account,
        columns.model == model,
        columns.version == version,
        columns.number == number,
    )
    begun, first, left = await _place(connection, is_build, after) if after else (0, 0, 0)
    begins = or_(try_ > begun, and_(try_ == begun, position >= first))
    query = select(columns.lines).where(is_build, begins).order_by(try_, position)
    return [line for text in await connection.scalars(query) for line in text.split("\n")][left:]


async def _place(
    connection: AsyncConnection, is_build: ColumnElement[bool], after: int
) -> tuple[int, int, int]:
    """The try and the position of the chunk that goes on after so many lines, and how many of them it has."""
    columns = build_logs.c
    try_, position = columns["try"], columns.position
    ends = (
        select(try_.label("try"), func.max(position).label("position"))
        .where(is_build)
        .group_by(try_)
        .subquery()
    )
    is_last = and_(try_ == ends.c["try"], position == ends.c.position)
    breaks = func.length(columns.lines) - func.length(func.replace(columns.lines, "\n", ""))
    counts = select(try_, position + breaks + 1).join(ends, is_last).where(is_build).order_by(try_)
    last = 0
    for last, count in await connection.execute(counts):
        if after < count:
            chunk = select(func.max(position)).where(is_build, try_ == last, position <= after)
            first = await connection.scalar(chunk) or 0
            return last, first, after - first
        after -= count
    return last + 1, 0, 0


async def prune(store: Store, days: int) -> None:
    """Forget the lines that are older than that."""
    async with store.transaction() as tx:
        horizon = tx.now.timestamp() - days * _DAY_SECONDS
        await tx.execute(delete(build_logs).where(build_logs.c.at < horizon))

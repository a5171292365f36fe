"""The replicas that are remembered: the API forgets a pod with its end."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.collector.domain.world import Replica
from services.collector.store import metadata
from so1s.store import Transaction, upsert

replicas = Table(
    "collector_replicas",
    metadata,
    Column("uid", String(63), primary_key=True),
    Column("ended_ms", BigInteger),  # null while it lives
    Column("replica", Text, nullable=False),  # JSON object
)

watched = Table(
    "collector_watched",
    metadata,
    Column("id", Integer, primary_key=True),  # one row
    Column("until_ms", BigInteger, nullable=False),
)

_REPLICA = TypeAdapter(Replica)
_ROW = 1


async def all_replicas(connection: AsyncConnection) -> dict[str, Replica]:
    """Every replica that is remembered, by uid."""
    rows = await connection.execute(select(replicas))
    return {row.uid: _REPLICA.validate_json(row.replica) for row in rows}


async def remember(tx: Transaction, changed: Iterable[Replica]) -> None:
    """Keep what is new of replicas."""
    rows = [
        {"uid": each.uid, "ended_ms": each.ended_ms, "replica": _REPLICA.dump_json(each).decode()}
        for each in changed
    ]
    await upsert(tx, replicas, rows, keys=["uid"], update=["ended_ms", "replica"])


async def forget(tx: Transaction, before_ms: int) -> None:
    """Let go of the replicas that ended before."""
    await tx.execute(delete(replicas).where(replicas.c.ended_ms < before_ms))


async def watched_until(connection: AsyncConnection) -> int | None:
    """When all of the world was known last; None where it never was."""
    return await connection.scalar(select(watched.c.until_ms))


async def watch_until(tx: Transaction, moment_ms: int) -> None:
    """Record that all of the world is known now."""
    await upsert(tx, watched, {"id": _ROW, "until_ms": moment_ms}, keys=["id"], update=["until_ms"])

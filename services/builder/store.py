"""The table of builds: one row a version, which holds its present build.

Times are seconds since the epoch. A row that a worker holds is written only under that worker's name and the
build's number, so that one that was given up for dead, or superseded, changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.builder import wishes
from services.builder.domain.build import Build, Wish
from services.builder.domain.queue import HEAD_START_SECONDS, place
from so1s.events import BuildFailed, Image, ImageBuilt, ModelUploaded
from so1s.events.envelope import Cause
from so1s.store import Transaction, upsert

metadata = MetaData()

builds = Table(
    "builds",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("model", String(40), primary_key=True),
    Column("version", String(63), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("state", String(9), nullable=False),
    Column("uploaded", Text, nullable=False),  # the data of its ModelUploaded
    Column("uploaded_at", Float, nullable=False),
    Column("sha256", String(64)),
    Column("event_id", String(255), nullable=False),
    Column("correlation_id", String(255), nullable=False),
    Column("traceparent", String(255), nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("place", Float, nullable=False),  # among its account's; the lowest is next
    Column("not_before", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("tries", Integer, nullable=False),
    Column("holder", String(255)),
    Column("held_until", Float),
    Column("cancelled_by", String(255)),
    Column("reason", String(32)),
    Column("message", Text),
    Column("image", Text),  # JSON of the last Image
    Column(
        "ending", Text
    ),  # the data of the ImageBuilt or BuildFailed that it ended with, without its wishes
    Column("warnings", Text),  # JSON of what its ImageBuilt warned of
)
Index("builds_state", builds.c.state)

_KEY = ("account", "model", "version")
_RESTARTED = (
    "number",
    "state",
    "uploaded",
    "uploaded_at",
    "sha256",
    "event_id",
    "correlation_id",
    "traceparent",
    "queued_at",
    "place",
    "not_before",
    "started_at",
    "finished_at",
    "tries",
    "holder",
    "held_until",
    "cancelled_by",
    "reason",
    "message",
    "ending",
)


async def find(tx: Transaction, account: str, model: str, version: str) -> Build | None:
    """The present build of a version, locked until the transaction ends."""
    statement = select(builds).where(_is_version(account, model, version)).with_for_update()
    row = (await tx.execute(statement)).one_or_none()
    return _build(row) if row else None


async def queue(
    tx: Transaction,
    wish: Wish,
    previous: Build | None,
    sha256: str | None,
    cause: Cause | None = None,
    *,
    image_alone: bool = False,
) -> None:
    """Record a new build of a version, in place of its previous one; it answers who waits for that, too.

    It belongs to the chain of `cause`, whose wish it is; the event in hand where that is absent. With
    `image_alone`, that one waits for no more of the wish than the image; what it says of replicas is kept, as
    it decides what the image holds.
    """
    cause = cause or tx.cause
    assert cause is not None
    uploaded, now = wish.uploaded, tx.now.timestamp()
    number = previous.number + 1 if previous else 1
    row = dict.fromkeys((column.name for column in builds.columns), None) | {
        "account": uploaded.account,
        "model": uploaded.model,
        "version": uploaded.version,
        "number": number,
        "state": "queued",
        "uploaded": uploaded.model_dump_json(),
        "uploaded_at": wish.uploaded_at.timestamp(),
        "sha256": sha256,
        **asdict(cause),
        "queued_at": now,
        "place": place(now, uploaded.priority),
        "not_before": now,
        "tries": 0,
    }
    await upsert(tx, builds, row, keys=_KEY, update=_RESTARTED)
    await wishes.record(tx, wish.of_image_alone if image_alone else wish, number, cause)


async def join(tx: Transaction, build: Build, wish: Wish) -> None:
    """Let another upload of the version be answered by a build that goes on; one in a hurry hurries it."""
    hurried = builds.c.queued_at - HEAD_START_SECONDS[wish.uploaded.priority]
    latest = {
        "place": case((hurried < builds.c.place, hurried), else_=builds.c.place),
        "uploaded": wish.uploaded.model_dump_json(),
        "uploaded_at": max(wish.uploaded_at, build.wish.uploaded_at).timestamp(),
    }
    await tx.execute(update(builds).where(_is_build(build)).values(latest))
    await wishes.record(tx, wish, build.number)


async def cancel(tx: Transaction, build: Build, cancelled_by: str) -> None:
    """Ask the worker of a running build to stop."""
    await tx.execute(update(builds).where(_is_build(build)).values(cancelled_by=cancelled_by))


async def end_cancelled(tx: Transaction, build: Build, failed: BuildFailed) -> None:
    """Record the end of a build that no worker holds."""
    ended = {
        "state": "cancelled",
        "reason": failed.reason,
        "message": failed.message,
        "ending": failed.model_dump_json(),
        "finished_at": tx.now.timestamp(),
    }
    await tx.execute(update(builds).where(_is_build(build)).values(ended))


async def claim(
    tx: Transaction, version: tuple[str, str, str], holder: str, lease_seconds: float
) -> Build | None:
    """Make a waiting build this worker's own; None where another one was faster.

    Time in which it was nobody's, though it might have been built, is none of its deadline's: its start moves
    on by that much. What a worker that died took until its lease ended counts, so that a build that kills its
    workers comes to an end.
    """
    now = tx.now.timestamp()
    nobodys_since = case((builds.c.state == "running", builds.c.held_until), else_=builds.c.not_before)
    nobodys = case((nobodys_since < now, now - nobodys_since), else_=0.0)
    statement = (
        update(builds)
        .where(_is_version(*version), may_start(holder, now))
        .values(
            state="running",
            holder=holder,
            held_until=now + lease_seconds,
            started_at=func.coalesce(builds.c.started_at + nobodys, now),
            tries=builds.c.tries + 1,
        )
        .returning(*builds.columns)
    )
    row = (await tx.execute(statement)).one_or_none()
    return _build(row) if row else None


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker learns when it says that it lives."""

    cancelled_by: str | None


async def hold(tx: Transaction, build: Build, holder: str, lease_seconds: float) -> Held | None:
    """Keep a running build for longer; None where it is this worker's no more."""
    held_until = tx.now.timestamp() + lease_seconds
    statement = update(builds).where(_is_held(build, holder)).values(held_until=held_until)
    row = (await tx.execute(statement.returning(builds.c.cancelled_by))).one_or_none()
    return Held(row.cancelled_by) if row else None


async def release(tx: Transaction, build: Build, holder: str, **changes: Any) -> bool:
    """Let a running build go, in its next state; False where it is this worker's no more."""
    statement = update(builds).where(_is_held(build, holder)).values(holder=None, held_until=None, **changes)
    return (await tx.execute(statement)).rowcount == 1


async def list_builds(
    connection: AsyncConnection, account: str, *, model: str | None = None, state: str | None = None
) -> list[Mapping[str, Any]]:
    """The rows of an account, of one model or state where that is said; the newest first."""
    statement = select(builds).where(builds.c.account == account).order_by(builds.c.queued_at.desc())
    for column, said in ((builds.c.model, model), (builds.c.state, state)):
        statement = statement if said is None else statement.where(column == said)
    return list((await connection.execute(statement)).mappings())


async def running(connection: AsyncConnection, account: str) -> int:
    """How many builds of an account are in hand."""
    is_running = and_(builds.c.account == account, builds.c.state == "running")
    return await connection.scalar(select(func.count()).select_from(builds).where(is_running)) or 0


async def present_build(
    connection: AsyncConnection, account: str, model: str, version: str
) -> Mapping[str, Any] | None:
    """The row of a version; None where it was never taken."""
    query = select(builds).where(_is_version(account, model, version))
    return (await connection.execute(query)).mappings().one_or_none()


def _is_version(account: str, model: str, version: str) -> ColumnElement[bool]:
    return and_(builds.c.account == account, builds.c.model == model, builds.c.version == version)


def _is_build(build: Build) -> ColumnElement[bool]:
    uploaded = build.uploaded
    version = _is_version(uploaded.account, uploaded.model, uploaded.version)
    return and_(version, builds.c.number == build.number)


def _is_held(build: Build, holder: str) -> ColumnElement[bool]:
    return and_(_is_build(build), builds.c.state == "running", builds.c.holder == holder)


def may_start(holder: str, now: float) -> ColumnElement[bool]:
    """A build that a worker may start: queued, or left by a worker that died."""
    queued = and_(builds.c.state == "queued", builds.c.not_before <= now)
    # A worker that looks for work has none: what it holds is left from before its process was started again.
    left = or_(builds.c.held_until < now, builds.c.holder == holder)
    return or_(queued, and_(builds.c.state == "running", left))


def _build(row: Any) -> Build:
    uploaded = ModelUploaded.from_json(row.uploaded.encode())
    return Build(
        wish=Wish(uploaded=uploaded, uploaded_at=datetime.fromtimestamp(row.uploaded_at, UTC)),
        number=row.number,
        state=row.state,
        cause=Cause(row.event_id, row.correlation_id, row.traceparent),
        sha256=row.sha256,
        image=Image.model_validate_json(row.image) if row.image else None,
        tries=row.tries,
        started_at=row.started_at,
        problem=row.message,
        cancelled_by=row.cancelled_by,
        ending=_ending(row),
    )


def _ending(row: Any) -> ImageBuilt | BuildFailed | None:
    if row.ending is None:
        return None
    return (ImageBuilt if row.state == "built" else BuildFailed).from_json(row.ending.encode())

"""The router's tables. Times are seconds since the epoch; a row with a cause says which event wrote it."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Integer, MetaData, Row, String, Table, Text

from so1s.events.envelope import Cause

metadata = MetaData()


def _cause() -> list[Column]:
    return [
        Column("event_id", String(255), nullable=False),
        Column("correlation_id", String(255), nullable=False),
        Column("traceparent", String(255), nullable=False),
    ]


def cause_of(row: Row) -> Cause:
    """The event that wrote a row."""
    return Cause(row.event_id, row.correlation_id, row.traceparent)


endpoints = Table(
    "endpoints",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("endpoint", String(40), primary_key=True),
    Column("revision", Integer, nullable=False, default=0),
    Column("removed", Boolean, nullable=False, default=False),
    # The newest revisions that every gateway answered with, and that not all did within the deadline.
    Column("acknowledged", Integer, nullable=False, default=0),
    Column("degraded", Integer, nullable=False, default=0),
)

variants = Table(
    "variants",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("endpoint", String(40), primary_key=True),
    Column("deployment", String(40), primary_key=True, index=True),
    Column("state", String(9), nullable=False),
    Column("weight", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("model", String(40), nullable=False),
    Column("version", String(63), nullable=False),
    Column("service", Text, nullable=False),
    Column("initial_percent", Integer, nullable=False),
    Column("requires", JSON, nullable=False),
    Column("joined", Boolean, nullable=False),
    # When, at which revision of the route and by which event it came to its state and revision.
    Column("since", Float, nullable=False),
    Column("route_revision", Integer, nullable=False),
    *_cause(),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("deployment", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("check_name", String(40), primary_key=True),
    Column("passed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)

routes = Table(
    "routes",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("endpoint", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("weights", JSON, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Float, nullable=False),
    Column("applied_at", Float),
    *_cause(),
)

retirements = Table(
    "retirements",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("deployment", String(40), primary_key=True),
    Column("revision", Integer, nullable=False),
    *_cause(),
)

changes = Table(
    "changes",
    metadata,
    Column("account", String(20), nullable=False),
    Column("endpoint", String(40), nullable=False),
    Column("weights", JSON, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("deadline", Float, nullable=False),
    Column("superseded", Boolean, nullable=False, default=False),
    Column("event_id", String(255), primary_key=True),
    Column("correlation_id", String(255), nullable=False),
    Column("traceparent", String(255), nullable=False),
)

"""The tables that every service's store has beside its own."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

_POSITION = BigInteger().with_variant(Integer, "sqlite")

inbox = Table(
    "so1s_inbox",
    metadata,
    # CloudEvents: source and id together are unique.
    Column("source", String(255), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("received_at", Float, nullable=False),
    # At most one of them: nothing is left to do. Without them it is being tried.
    Column("handled_at", Float),
    Column("buried_at", Float),
)
Index("so1s_inbox_received_at", inbox.c.received_at)

outbox = Table(
    "so1s_outbox",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=True),
    Column("event_id", String(255), nullable=False, unique=True),
    Column("topic", String(249), nullable=False),
    # A dead letter keeps what a stranger sent, which may lack either.
    Column("key", LargeBinary),
    Column("headers", LargeBinary, nullable=False),  # JSON list of [name, value], bytes as Latin-1
    Column("value", LargeBinary),
    Column("created_at", Float, nullable=False),
    Column("sent_at", Float),
    # Where Kafka refused it: how often, when last and why, and when it is tried again.
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("refused_at", Float),
    Column("refusal", Text),
    Column("retry_at", Float),
)
Index(
    "so1s_outbox_unsent",
    outbox.c.position,
    sqlite_where=outbox.c.sent_at.is_(None),
    postgresql_where=outbox.c.sent_at.is_(None),
)

leases = Table(
    "so1s_leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("expires_at", Float, nullable=False),
)

answers = Table(
    "so1s_answers",
    metadata,
    Column("position", _POSITION, primary_key=True, autoincrement=True),
    Column("subject", String(255), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("request", Text, nullable=False),
    # Whom it is owed to.
    Column("event_id", String(255), nullable=False),
    Column("correlation_id", String(255), nullable=False),
    Column("traceparent", String(255), nullable=False),
    UniqueConstraint("subject", "event_id"),
)

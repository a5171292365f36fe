"""The console's tables. Times are seconds since the epoch."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

tokens = Table(
    "console_tokens",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("digest", String(64), nullable=False),  # of the secret, which is kept nowhere
    Column("account", String(20), nullable=False, index=True),
    Column("scopes", JSON, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
)

audit = Table(
    "console_audit",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", String(40), nullable=False),
    Column("account", String(20), nullable=False, index=True),
    Column("subject", Text, nullable=False),
    Column("detail", JSON, nullable=False),
)

chain_events = Table(
    "console_chain_events",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("correlation_id", String(255), primary_key=True),
    # CloudEvents: source and id together are unique.
    Column("source", String(255), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("received_at", Float, nullable=False),
    Column("event", Text, nullable=False),  # CloudEvents 1.0, structured JSON
)
versions = Table(
    "console_versions",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("model", String(40), primary_key=True),
    Column("version", String(63), primary_key=True),
    Column("sha256", String(64)),
)
Index("console_chain_events_received_at", chain_events.c.received_at)

standing = Table(
    "console_standing",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("kind", String(20), primary_key=True),  # model, deployment, endpoint, incident
    Column("subject", String(64), primary_key=True),
    Column("aspect", String(40), primary_key=True),  # how it is told: see `aspect_of`
    Column("at", Float, nullable=False),  # of the event
    Column("event", Text, nullable=False),  # CloudEvents 1.0, structured JSON
)

drops = Table(
    "console_drops",
    metadata,
    Column("id", String(36), primary_key=True),  # of its event
    Column("account", Text, nullable=False, index=True),  # as a key says it: it may be no valid name
    Column("uri", Text, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("gone_at", Float),  # since when its files are not listed any more
    Column("event", String(64), nullable=False),  # what the store said of it; empty where it said nothing
    Column("principal", String(128), nullable=False),  # who put it, as the store said
    Column("problem", Text, nullable=False),  # empty where it was published
)

"""Alembic's entry for billing's tables."""

from services.billing.store import metadata
from so1s.store.migrations import run

run(metadata)

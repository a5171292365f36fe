"""Alembic's entry for the collector's tables."""

from services.collector.store import metadata
from so1s.store.migrations import run

run(metadata)

"""Alembic's entry for the alerter's tables."""

from services.alerter.store import metadata
from so1s.store.migrations import run

run(metadata)

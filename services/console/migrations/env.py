"""Alembic's entry for the console's tables."""

from services.console.tables import metadata
from so1s.store.migrations import run

run(metadata)

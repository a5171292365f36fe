"""Alembic's entry for the router's tables."""

from services.router.tables import metadata
from so1s.store.migrations import run

run(metadata)

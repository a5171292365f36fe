"""Alembic's entry for the tables of so1s.store."""

from so1s.store.migrations import run
from so1s.store.tables import metadata

run(metadata)

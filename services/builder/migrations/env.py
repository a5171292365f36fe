"""Alembic's entry for the tables of the builder."""

from services.builder.store import metadata
from so1s.store.migrations import run

run(metadata)

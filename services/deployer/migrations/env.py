"""Alembic's entry for the deployer's tables."""

from services.deployer.tables import metadata
from so1s.store.migrations import run

run(metadata)

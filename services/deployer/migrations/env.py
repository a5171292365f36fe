"""Alembic's entry for the deployer's tables."""

from services.deployer.store import metadata
from so1s.store.migrations import run

run(metadata)

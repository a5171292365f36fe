"""Alembic's entry for the tables of the builder."""

from services.builder.refused import refused_uploads
from so1s.store.migrations import run

run(refused_uploads.metadata)

"""Alembic migrations of the deployer's tables."""

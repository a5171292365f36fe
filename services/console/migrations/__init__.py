"""Alembic's migrations of the console's tables."""

"""Alembic's migrations of the router's tables."""

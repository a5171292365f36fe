"""Billing's tables, by alembic."""

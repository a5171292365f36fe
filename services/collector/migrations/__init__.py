"""The collector's tables, by alembic."""

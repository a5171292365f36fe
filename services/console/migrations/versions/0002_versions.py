"""Versions that were uploaded."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "console_versions",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("model", sa.String(40), primary_key=True),
        sa.Column("version", sa.String(63), primary_key=True),
        sa.Column("sha256", sa.String(64)),
    )

"""Uploads that were refused."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "refused_uploads",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("model", sa.String(40), primary_key=True),
        sa.Column("version", sa.String(63), primary_key=True),
        sa.Column("refused_at", sa.Float, nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )

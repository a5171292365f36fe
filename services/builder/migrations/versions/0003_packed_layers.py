"""Layers of libraries, which one replica packs for all."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "packed_layers",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("diff_id", sa.String(71), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
    )

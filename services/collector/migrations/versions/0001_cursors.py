"""Cursors."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "collector_cursors",
        sa.Column("subject", sa.String(128), primary_key=True),
        sa.Column("sampled_until_ms", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("read_at_ms", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.String(128), nullable=False),
        sa.Column("counters", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("collector_cursors")

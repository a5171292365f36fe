"""Replicas of a cluster, which its API forgets with their end."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "collector_replicas",
        sa.Column("uid", sa.String(63), primary_key=True),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("replica", sa.Text, nullable=False),
    )
    op.create_table(
        "collector_watched",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("collector_watched")
    op.drop_table("collector_replicas")

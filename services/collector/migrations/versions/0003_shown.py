"""What the source of a cursor's reading knew of its moment then."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "collector_cursors", sa.Column("shown", sa.Text, nullable=False, server_default=sa.text("'null'"))
    )


def downgrade() -> None:
    op.drop_column("collector_cursors", "shown")

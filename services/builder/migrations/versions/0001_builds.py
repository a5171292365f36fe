"""Builds."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "builds",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("model", sa.String(40), primary_key=True),
        sa.Column("version", sa.String(63), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("uploaded", sa.Text, nullable=False),
        sa.Column("uploaded_at", sa.Float, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.String(255), nullable=False),
        sa.Column("traceparent", sa.String(255), nullable=False),
        sa.Column("queued_at", sa.Float, nullable=False),
        sa.Column("place", sa.Float, nullable=False),
        sa.Column("not_before", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("holder", sa.String(255)),
        sa.Column("held_until", sa.Float),
        sa.Column("cancelled_by", sa.String(255)),
        sa.Column("reason", sa.String(32)),
        sa.Column("message", sa.Text),
        sa.Column("image", sa.Text),
        sa.Column("ending", sa.Text),
        sa.Column("warnings", sa.Text),
    )
    op.create_index("builds_state", "builds", ["state"])
    op.create_table(
        "turns",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("last_started_at", sa.Float, nullable=False),
    )
    op.create_table(
        "build_logs",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("model", sa.String(40), primary_key=True),
        sa.Column("version", sa.String(63), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("try", sa.Integer, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False, index=True),
        sa.Column("lines", sa.Text, nullable=False),
    )

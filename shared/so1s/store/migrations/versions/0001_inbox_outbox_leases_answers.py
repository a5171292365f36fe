"""Inbox, outbox, leases and answers that are owed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "so1s_inbox",
        sa.Column("source", sa.String(255), primary_key=True),
        sa.Column("event_id", sa.String(255), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("handled_at", sa.Float),
        sa.Column("buried_at", sa.Float),
    )
    op.create_index("so1s_inbox_received_at", "so1s_inbox", ["received_at"])
    op.create_table(
        "so1s_outbox",
        sa.Column("position", position, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(255), nullable=False, unique=True),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("sent_at", sa.Float),
        sa.Column("refusals", sa.Integer, nullable=False, server_default="0"),
        sa.Column("refused_at", sa.Float),
        sa.Column("refusal", sa.Text),
        sa.Column("retry_at", sa.Float),
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index(
        "so1s_outbox_unsent", "so1s_outbox", ["position"], sqlite_where=unsent, postgresql_where=unsent
    )
    op.create_table(
        "so1s_leases",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "so1s_answers",
        sa.Column("position", position, primary_key=True, autoincrement=True),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.String(255), nullable=False),
        sa.Column("traceparent", sa.String(255), nullable=False),
        sa.UniqueConstraint("subject", "event_id"),
    )


def downgrade() -> None:
    op.drop_table("so1s_answers")
    op.drop_table("so1s_leases")
    op.drop_table("so1s_outbox")
    op.drop_table("so1s_inbox")

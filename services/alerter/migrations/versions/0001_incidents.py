"""Watches, incidents with their history, authors' rules, recoveries."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("spoke_at", sa.Float, nullable=False),
    )
    op.create_index("watches_spoke_at", "watches", ["spoke_at"])
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("open_key", sa.String(255), unique=True),
        sa.Column("account", sa.String(20), nullable=False),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("endpoint", sa.String(40)),
        sa.Column("deployment", sa.String(40)),
        sa.Column("watched", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Float, nullable=False),
        sa.Column("closed_at", sa.Float),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("told_revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("channel", sa.String(63)),
        sa.Column("ts", sa.String(63)),
        sa.Column("attempted_at", sa.Float),
    )
    op.create_index("incidents_account", "incidents", ["account", "opened_at"])
    op.create_index("incidents_closed_at", "incidents", ["closed_at"])
    behind = sa.text("told_revision < revision")
    op.create_index("incidents_behind", "incidents", ["opened_at"], sqlite_where=behind, postgresql_where=behind)
    op.create_table(
        "entries",
        sa.Column("incident", sa.String(12), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("attempted_at", sa.Float),
    )
    op.create_index("entries_told", "entries", ["told"])
    op.create_table(
        "author_rules",
        sa.Column("key", sa.String(63), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
    )
    op.create_table(
        "recoveries",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("recoveries_at", "recoveries", ["at"])


def downgrade() -> None:
    for table in ("recoveries", "author_rules", "entries", "incidents", "watches"):
        op.drop_table(table)

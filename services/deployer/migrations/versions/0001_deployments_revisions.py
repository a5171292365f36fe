"""Deployments, their revisions, and verdicts on their images."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "deployments",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("serving_revision", sa.Integer, nullable=False),
        sa.Column("seen_revision", sa.Integer, nullable=False),
        sa.Column("updated", sa.Integer, nullable=False),
        sa.Column("ready", sa.Integer, nullable=False),
        sa.Column("desired", sa.Integer, nullable=False),
        sa.Column("restarts", sa.Integer, nullable=False),
        sa.Column("ready_revision", sa.Integer, nullable=False),
        sa.Column("candidate_revision", sa.Integer, nullable=False),
        sa.Column("failed_revision", sa.Integer, nullable=False),
        sa.Column("withdrawn_revision", sa.Integer, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
        sa.Column("removed_revision", sa.Integer, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("uploaded_at", sa.Float),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Float, nullable=False),
        sa.Column("restores", sa.Integer),
        sa.Column("ready_at", sa.Float),
        sa.Column("failure", sa.Text),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.String(255), nullable=False),
        sa.Column("traceparent", sa.String(255), nullable=False),
    )
    op.create_table(
        "verdicts",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("digest", sa.String(71), primary_key=True),
        sa.Column("check_name", sa.String(40), primary_key=True),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_table("revisions")
    op.drop_table("deployments")

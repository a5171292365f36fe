"""Endpoints, their variants, verdicts, routes, and what waits: changes and retirements."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _cause() -> list[sa.Column]:
    return [
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.String(255), nullable=False),
        sa.Column("traceparent", sa.String(255), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("endpoint", sa.String(40), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
        sa.Column("acknowledged", sa.Integer, nullable=False),
        sa.Column("degraded", sa.Integer, nullable=False),
    )
    op.create_table(
        "variants",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("endpoint", sa.String(40), primary_key=True),
        sa.Column("deployment", sa.String(40), primary_key=True),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("model", sa.String(40), nullable=False),
        sa.Column("version", sa.String(63), nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("initial_percent", sa.Integer, nullable=False),
        sa.Column("requires", sa.JSON, nullable=False),
        sa.Column("joined", sa.Boolean, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("route_revision", sa.Integer, nullable=False),
        *_cause(),
    )
    op.create_index("ix_variants_deployment", "variants", ["deployment"])
    op.create_table(
        "verdicts",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("deployment", sa.String(40), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("check_name", sa.String(40), primary_key=True),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "routes",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("endpoint", sa.String(40), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("weights", sa.JSON, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_at", sa.Float, nullable=False),
        sa.Column("applied_at", sa.Float),
        *_cause(),
    )
    op.create_table(
        "retirements",
        sa.Column("account", sa.String(20), primary_key=True),
        sa.Column("deployment", sa.String(40), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        *_cause(),
    )
    op.create_table(
        "changes",
        sa.Column("account", sa.String(20), nullable=False),
        sa.Column("endpoint", sa.String(40), nullable=False),
        sa.Column("weights", sa.JSON, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("deadline", sa.Float, nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.Column("event_id", sa.String(255), primary_key=True),
        sa.Column("correlation_id", sa.String(255), nullable=False),
        sa.Column("traceparent", sa.String(255), nullable=False),
    )

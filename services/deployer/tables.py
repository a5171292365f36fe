"""The deployer's tables: deployments, every revision that they ever had, and verdicts on their images.

Times are seconds since the epoch.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

deployments = Table(
    "deployments",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(8), nullable=False),
    Column("since", Float, nullable=False),
    Column("serving_revision", Integer, nullable=False, default=0),
    # As it was last seen and told of.
    Column("seen_revision", Integer, nullable=False, default=0),
    Column("updated", Integer, nullable=False, default=0),
    Column("ready", Integer, nullable=False, default=0),
    Column("desired", Integer, nullable=False, default=0),
    Column("restarts", Integer, nullable=False, default=0),
    Column("ready_revision", Integer, nullable=False, default=0),
    Column("candidate_revision", Integer, nullable=False, default=0),
    Column("failed_revision", Integer, nullable=False, default=0),
    Column("withdrawn_revision", Integer, nullable=False, default=0),
    Column("failure", Text),  # JSON of the last DeploymentFailed
    Column("service", Text, nullable=False, default=""),
    Column("url", Text, nullable=False, default=""),
    Column("told", Integer, nullable=False, default=0),
    Column("removed_revision", Integer, nullable=False, default=0),  # the last one before it was removed
)

revisions = Table(
    "revisions",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("workload", Text, nullable=False),  # JSON of a Workload
    Column("digest", String(71), nullable=False),  # of its image
    Column("uploaded_at", Float),  # where its model's upload asked for it
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Float, nullable=False),
    Column("restores", Integer),  # the revision by which its version came, where it was gone back to
    # What became of it.
    Column("ready_at", Float),
    Column("failure", Text),  # JSON of its DeploymentFailed
    Column("event_id", String(255), nullable=False),
    Column("correlation_id", String(255), nullable=False),
    Column("traceparent", String(255), nullable=False),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("account", String(20), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("digest", String(71), primary_key=True),
    Column("check_name", String(40), primary_key=True),
    Column("passed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("revision", Integer, nullable=False),
)

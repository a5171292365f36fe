"""Schema migrations with alembic, one version table a package.

A service's `migrations/env.py` is two lines: `from so1s.store.migrations import run` and `run(metadata)`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

log = structlog.get_logger()


async def upgrade(connection: AsyncConnection, package: str, schema: str | None = None) -> None:
    """Bring the tables of a migrations package to their newest form, within the connection's transaction."""
    directory = Path(str(import_module(package).__file__)).parent
    config = Config()
    config.set_main_option("script_location", str(directory))
    config.set_main_option("path_separator", "os")
    config.attributes["version_table"] = package.replace(".", "_") + "_version"

    def apply(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            # Replicas that start together wait for one another; the lock ends with the transaction.
            connection.execute(text("SELECT pg_advisory_xact_lock(7365313)"))
            if schema:
                connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        config.attributes["connection"] = connection
        if not _is_ahead(connection, config):
            command.upgrade(config, "head")

    await connection.run_sync(apply)


def _is_ahead(connection: Connection, config: Config) -> bool:
    """Whether a later release made the tables: its steps bear the release before, which may go on."""
    options = {"version_table": config.attributes["version_table"]}
    present = MigrationContext.configure(connection, opts=options).get_current_revision()
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if present is None or present in known:
        return False
    log.warning("a later release made the tables; they are left as they are", revision=present)
    return True


def run(metadata: MetaData) -> None:
    """Run the migrations that alembic found; called by an `env.py`."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=metadata,
        version_table=attributes["version_table"],
    )
    with context.begin_transaction():
        context.run_migrations()

"""Schema migrations with alembic, one version table a package.

A service's `migrations/env.py` is two lines: `from so1s.store.migrations import run` and `run(metadata)`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection


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
        command.upgrade(config, "head")

    await connection.run_sync(apply)


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

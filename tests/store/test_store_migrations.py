"""Migrations bring tables to their newest form, whoever else does so at the same time."""

import subprocess
import sys

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from so1s.store.tables import metadata

SERVICE = {
    "__init__.py": "",
    "env.py": "from so1s.store.migrations import run\nfrom sqlalchemy import MetaData\nrun(MetaData())\n",
    "versions/0001_pets.py": (
        "import sqlalchemy as sa\nfrom alembic import op\n"
        'revision = "0001"\ndown_revision = None\n'
        'def upgrade():\n    op.create_table("pets", sa.Column("name", sa.String(40), primary_key=True))\n'
    ),
}
MIGRATE = """
import asyncio, sys
from so1s.store import Store
async def main():
    store = Store(sys.argv[1], producer="tester", schema=sys.argv[2] or None)
    await store.migrate()
    await store.close()
asyncio.run(main())
"""


def package(directory, monkeypatch):
    for name, text in SERVICE.items():
        path = directory / "pets_service" / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(directory))
    return "pets_service.migrations"


async def tables(store):
    async with store.read() as connection:
        return set(await connection.run_sync(lambda each: sa.inspect(each).get_table_names()))


async def test_migrated_tables_are_those_of_the_code(store):
    def differences(connection):
        context = MigrationContext.configure(
            connection, opts={"include_object": _is_ours, "compare_type": True}
        )
        return compare_metadata(context, metadata)

    async with store.read() as connection:
        assert await connection.run_sync(differences) == []


def _is_ours(_object, name, kind, _reflected, _other):
    return kind != "table" or name in metadata.tables


async def test_migrating_twice_changes_nothing(store):
    await store.attempt("pipeline", "1")
    await store.migrate()
    assert (await store.attempt("pipeline", "1")).number == 2


async def test_a_service_has_tables_of_its_own_beside_those_of_the_library(store, tmp_path, monkeypatch):
    name = package(tmp_path, monkeypatch)
    await store.migrate(name)
    await store.migrate(name)
    assert {"pets", "so1s_inbox", "so1s_outbox", "so1s_leases"} <= await tables(store)


async def test_a_release_before_starts_on_the_tables_of_a_later_one(store, tmp_path, monkeypatch):
    name = package(tmp_path, monkeypatch)
    await store.migrate(name)
    async with store.transaction() as tx:
        await tx.execute(sa.text("UPDATE pets_service_migrations_version SET version_num = '0002'"))
    await store.migrate(name)
    async with store.read() as connection:
        found = await connection.execute(sa.text("SELECT version_num FROM pets_service_migrations_version"))
    assert found.scalar_one() == "0002"


def test_replicas_that_start_together_migrate_once(database):
    store = database()
    arguments = [sys.executable, "-c", MIGRATE, store.engine.url.render_as_string(), store._schema or ""]
    replicas = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [replica.communicate(timeout=60)[1] for replica in replicas] == [""] * 2
    assert [replica.returncode for replica in replicas] == [0] * 2

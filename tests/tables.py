"""Databases with a service's tables in them: to make these takes longer than most tests."""

import asyncio
import tempfile
from pathlib import Path

from so1s.store import Store

_MADE: dict[str | None, bytes] = {}
"""By migrations package: a file of SQLite's with its tables, once somebody asked for it."""


async def make_tables(store: Store, package: str | None = None) -> None:
    """Do what `store.migrate(package)` does; a new file of SQLite's is a copy of one that has the tables."""
    file = _file(store)
    if file is None or file.exists():
        await store.migrate(package)
        return
    if package not in _MADE:
        with tempfile.TemporaryDirectory() as directory:
            made = Path(directory, "empty.db")
            await _migrate(made, package)
            _MADE[package] = await asyncio.to_thread(made.read_bytes)
    file.write_bytes(_MADE[package])


def _file(store: Store) -> Path | None:
    url = store.engine.url
    return Path(url.database) if url.get_backend_name() == "sqlite" else None


async def _migrate(file: Path, package: str | None) -> None:
    store = Store(f"sqlite+aiosqlite:///{file}", producer="nobody")
    await store.migrate(package)
    await store.close()

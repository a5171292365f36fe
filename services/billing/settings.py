"""What billing is told."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from so1s.settings import ServiceSettings


class Settings(ServiceSettings):
    """Each field as `SO1S_FIELD`."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - whoever owns state needs one
    """An SQLAlchemy URL: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`; it holds the ledger."""
    price_book: Path = Path(__file__).with_name("prices.toml")
    """TOML file of prices; the one beside the code is an example that a laptop bills by."""

"""What the collector is told."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from so1s.events.names import Account, Name
from so1s.settings import ServiceSettings


class Settings(ServiceSettings):
    """Each field as `SO1S_FIELD`."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - whoever owns state needs one
    """An SQLAlchemy URL: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`; it holds the cursors."""
    world_dir: Path = Path(".so1s/world")
    """What runs, as the deployer records it."""
    envoy_admin_port: int = Field(default=9901, ge=1, le=65535)
    """Of Envoy's admin interface on 127.0.0.1."""
    gateway: Name = "envoy"
    """What people call it."""
    operator_account: Account = "so1s"
    """Whose the gateway is, since it serves every tenant."""
    window_seconds: int = Field(default=5, ge=1, le=3600)
    """The grid of samples: short enough for a laptop's demo to bill and watch what it does."""
    scrape_seconds: float = Field(default=1.0, gt=0)
    """Between two looks at the counters: at most so much is lost where something dies."""

    @model_validator(mode="after")
    def _looks_often_enough(self) -> Self:
        if self.scrape_seconds > self.window_seconds:
            raise ValueError(f"scrape_seconds: allowed: at most window_seconds, {self.window_seconds}")
        return self

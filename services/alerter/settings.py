"""What the alerter is told by its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from so1s.events.names import Account
from so1s.settings import ServiceSettings


class Settings(ServiceSettings):
    """Each field as `SO1S_FIELD`."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - settings are read, never written
    """`sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`; incidents are state, so one is needed."""
    rules_path: Path = Path(__file__).with_name("rules.yaml")
    """The operator's rules; those beside this file where nothing is said."""
    operator_account: Account = "so1s"
    """Whose incidents those of the services themselves are, such as dead letters."""
    slack_url: str = Field(default="https://slack.com/api/", pattern=r"^https?://.+/$")
    """Of Slack's Web API; the laptop has one of its own."""
    slack_token: SecretStr
    """A bot token with the scopes chat:write, channels:history and metadata.message:read."""
    slack_channel: str = Field(pattern=r"^[CGD][A-Z0-9]+$")
    """The channel's id: a message is found again by id alone, never by the channel's name."""
    slack_channels: dict[str, str] = {}
    """Channel ids of accounts that have their own, as a JSON object."""
    slack_timeout_seconds: int = Field(default=10, ge=1)
    """For one call; Slack answers in well under one second."""
    retention_days: int = Field(default=90, ge=30)
    """How long incidents are kept after their end: a quarter's history, longer than topics keep events."""
    tell_interval_seconds: float = Field(default=1.0, gt=0)
    """How often untold incidents are looked for: an indexed read."""

"""What every service is told by its environment."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from so1s.errors import MISSING, InvalidInput, Problem, without_credentials

PREFIX = "SO1S_"
"""Of the variables that say the settings."""


def _log_format() -> Literal["json", "console"]:
    return "console" if sys.stdout.isatty() else "json"


class KafkaSettings(BaseSettings):
    """How to reach Kafka."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        use_attribute_docstrings=True,
        extra="ignore",
        hide_input_in_errors=True,  # the input of a missing field is all the others, passwords too
    )

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, `HOST:PORT` with commas between them."""
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    """What the brokers' listener speaks."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the user proves itself."""
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: str | None = None
    """PEM file of a private authority; the system's where it is absent."""


class ServiceSettings(KafkaSettings):
    """What every service is told, each field as `SO1S_FIELD`."""

    provision_topics: bool = True
    """Create missing topics at the start; an operator who provisions them says no."""
    topic_replication: int = Field(default=1, ge=1)
    """Replicas of a new topic: 1 suits a single broker, a cluster wants 3."""
    database_url: SecretStr | None = None
    """An SQLAlchemy URL: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`.

    Without one the inbox and the outbox live in a temporary file: enough for a consumer that owns
    no state, since the offset moves only when the outbox is sent. Where Kafka refuses an answer, the event
    that asked for it is kept as a dead letter.
    """
    database_schema: str | None = None
    """PostgreSQL: the schema of this service."""
    http_host: str = "127.0.0.1"
    """A pod sets `0.0.0.0`."""
    http_port: int = Field(default=8000, ge=0, le=65535)
    """Of health, metrics and the service's own API."""
    instance: str = Field(default_factory=socket.gethostname)
    """This replica's name: stable over a restart, so that its partitions and lease come back at once."""
    log_format: Literal["json", "console"] = Field(default_factory=_log_format)
    """Where it is absent: coloured lines in a terminal, JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_seconds: float = Field(default=15.0, gt=0)
    """How long what is in flight may take after SIGTERM; under a pod's grace period of 30 s."""

    @classmethod
    def read(cls) -> Self:
        """What the environment says.

        Raises:
            SystemExit: with each variable that is missing or wrong, its value unless that is a secret, and
                what is allowed.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = InvalidInput.from_pydantic(error, cls).problems
            sys.exit(without_credentials("\n".join(map(cls._told, problems))))
        except SettingsError as error:
            sys.exit(f"{error}; allowed: JSON")

    @classmethod
    def _told(cls, problem: Problem) -> str:
        """A problem of a variable; of a secret, and of all settings together, without the value."""
        name = problem.field.partition(".")[0]
        if name not in cls.model_fields:
            return problem.allowed
        is_secret = "Secret" in str(cls.model_fields[name].annotation)
        value = "its value" if is_secret and problem.value != MISSING else problem.value
        return str(replace(problem, field=f"{PREFIX}{name.upper()}", value=value))

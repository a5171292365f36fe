"""S3: versitygw on a directory, which enforces checksums and signatures."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from so1s_lab import CHECKOUT
from so1s_lab.command import command
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = GoProgram(
    "github.com/versity/versitygw/cmd/versitygw",
    module="github.com/versity/versitygw",
    pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "versitygw"),
)


@dataclass(frozen=True)
class Notifying:
    """A topic of Kafka that hears of every change of an object; it must be there before the store starts."""

    bootstrap_servers: str
    topic: str


@dataclass(frozen=True)
class Keys:
    """A user of the store."""

    access_key: str = field(default_factory=lambda: f"lab{secrets.token_hex(8)}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


class S3:
    """A store whose first user may do everything, and whose other one, the stranger, nothing."""

    version = PROGRAM.version
    region = "us-east-1"

    def __init__(self, directory: Path, notifying: Notifying | None = None, *, name: str = "s3") -> None:
        self.name = name
        self._directory = directory
        self._notifying = notifying
        self._port = any_port()
        self._binary = Path()
        self.keys = Keys()
        self.stranger = Keys()

    @property
    def access_key(self) -> str:
        """Of the user who may do everything."""
        return self.keys.access_key

    @property
    def secret_key(self) -> str:
        """Theirs."""
        return self.keys.secret_key

    @property
    def endpoint(self) -> str:
        """Where clients connect; buckets are in the path."""
        return f"http://127.0.0.1:{self._port}"

    def prepare(self) -> None:
        """Build it, and write down the stranger."""
        self._binary = PROGRAM.build()
        for name in ("data", "meta", "versions", "users"):
            (self._directory / name).mkdir(exist_ok=True)
        users = self._directory / "users" / "users.json"
        users.touch(mode=0o600)
        stranger = {"access": self.stranger.access_key, "secret": self.stranger.secret_key, "role": "user"}
        users.write_text(json.dumps({"accessAccounts": {self.stranger.access_key: stranger}}))

    def unit(self) -> Unit:
        """Its user comes by the environment, which other users of the machine cannot read."""
        line = command(
            self._binary,
            port=f"127.0.0.1:{self._port}",
            region=self.region,
            iam_dir=self._directory / "users",
            health="/health",
            quiet=True,
            **self._events(),
        )
        backend = command(
            "posix", sidecar=self._directory / "meta", versioning_dir=self._directory / "versions"
        )
        return Unit(
            self.name,
            [*line, *backend, str(self._directory / "data")],
            answers(f"{self.endpoint}/health"),
            environment={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )

    def _events(self) -> dict[str, str]:
        if self._notifying is None:
            return {}
        return {
            "event_kafka_url": self._notifying.bootstrap_servers,
            "event_kafka_topic": self._notifying.topic,
        }

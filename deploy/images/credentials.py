"""Who pushes: said by the environment, or as `docker login` and `podman login` have written it down."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _docker_config() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"


class Credentials(BaseSettings):
    """Each field as `SO1S_IMAGE_REGISTRY_…`, as a builder is told."""

    model_config = SettingsConfigDict(env_prefix="SO1S_IMAGE_REGISTRY_", hide_input_in_errors=True)

    user: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    """PEM file of a private authority; the system's where it is absent."""
    docker_config: Path = Field(default_factory=_docker_config)
    """Read where no user is said."""

    def of(self, host: str) -> tuple[str | None, SecretStr | None]:
        """The user and the password for a registry; nobody where none are known.

        Raises:
            ValueError: the file is broken, or names a program that is not there.
        """
        if self.user is not None or not self.docker_config.exists():
            return self.user, self.password
        return _read(self.docker_config, host)


def _read(config: Path, host: str) -> tuple[str | None, SecretStr | None]:
    """https://docs.docker.com/reference/cli/docker/login/#credential-stores."""
    said = _parsed(config)
    helper = said.get("credHelpers", {}).get(host) or said.get("credsStore")
    if helper:
        return _ask(helper, host)
    entry = said.get("auths", {}).get(host)
    if not entry:
        return None, None
    try:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (KeyError, ValueError):
        raise ValueError(f"{config}: auths.{host}.auth: allowed: base64 of USER:PASSWORD") from None
    return user, SecretStr(password)


def _parsed(config: Path) -> dict[str, Any]:
    try:
        return json.loads(config.read_bytes())
    except ValueError:  # which shows the file's text
        raise ValueError(f"{config}: it is no JSON") from None


def _ask(helper: str, host: str) -> tuple[str | None, SecretStr | None]:
    """https://docs.docker.com/reference/cli/docker/login/#credential-helper-protocol."""
    line = [f"docker-credential-{helper}", "get"]
    try:
        answer = subprocess.run(line, input=host, capture_output=True, text=True, check=True)  # noqa: S603 - the user's own
    except FileNotFoundError:
        raise ValueError(f"{line[0]}, which has the password of {host}, is not installed") from None
    except subprocess.CalledProcessError:
        return None, None  # it knows none
    said = json.loads(answer.stdout)
    return said["Username"], SecretStr(said["Secret"])

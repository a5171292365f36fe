"""Who pushes: said by the environment, or as `docker login` and `podman login` have written it down."""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path

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
    docker_config: Path = Field(default_factory=_docker_config, validation_alias="SO1S_DOCKER_CONFIG")
    """Read where no user is said."""

    def of(self, host: str) -> tuple[str | None, SecretStr | None]:
        """The user and the password for a registry; nobody where none are known.

        Raises:
            ValueError: the file is broken, or has the password elsewhere.
        """
        if self.user is not None or not self.docker_config.exists():
            return self.user, self.password
        return _read(self.docker_config, host)


def _read(config: Path, host: str) -> tuple[str | None, SecretStr | None]:
    """https://docs.docker.com/reference/cli/docker/login/: base64 of `USER:PASSWORD` under `auths`."""
    try:
        said = json.loads(config.read_bytes())
        entry = said.get("auths", {}).get(host)
        if entry is None and host not in said.get("credHelpers", {}):
            return None, None
        user, _, password = base64.b64decode((entry or {}).get("auth", "")).decode().partition(":")
    except (ValueError, AttributeError, binascii.Error) as error:
        raise ValueError(f"{config}: not as docker login writes it: {type(error).__name__}") from None
    if not user:
        raise ValueError(
            f"{config}: a credential helper has the password of {host}: "
            "set SO1S_IMAGE_REGISTRY_USER and SO1S_IMAGE_REGISTRY_PASSWORD"
        )
    return user, SecretStr(password)

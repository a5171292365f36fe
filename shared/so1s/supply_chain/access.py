"""How to enter registries, as the environment says: each field as `SO1S_FIELD`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from so1s.registry import Registry


class RegistryAccess(BaseSettings):
    """Who reads images; the builder's settings have the same names."""

    model_config = SettingsConfigDict(
        env_prefix="SO1S_", use_attribute_docstrings=True, extra="ignore", hide_input_in_errors=True
    )

    image_registry: str | None = None
    """`https://HOST/PREFIX`, or `http://` for one on a private network. The user and the password are for
    this host alone; any other one is asked over HTTPS, as nobody in particular."""
    image_registry_user: str | None = None
    image_registry_password: SecretStr | None = None
    image_registry_ca_file: Path | None = None
    """PEM file of a private authority; the system's where it is absent."""

    def registry(self, host: str) -> Registry:
        """The registry of a host."""
        ours = urlsplit(self.image_registry or "")
        if ours.netloc != host:
            return Registry(f"https://{host}")
        return Registry(
            f"{ours.scheme}://{host}",
            user=self.image_registry_user,
            password=self.image_registry_password,
            ca_file=self.image_registry_ca_file,
        )

"""A registry: Debian's docker-registry, with a user and a password."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import yaml

from so1s_lab.debian import package_version, program
from so1s_lab.pki import Authority
from so1s_lab.ports import any_port
from so1s_lab.readiness import Ready
from so1s_local.process import Unit

_BCRYPT_ROUNDS = 5
"""Each request is checked anew, and the password lives as long as the lab."""


@dataclass(frozen=True)
class TokenServer:
    """Who says what a client may do, in place of a password."""

    realm: str
    """Its URL."""
    service: str
    """What it calls the registry."""
    issuer: str
    """What it calls itself."""
    certificate: Path
    """Of the authority that its own certificate, which comes with each token, is from."""


class Registry:
    """Takes images from one user and gives them; deleting is allowed."""

    def __init__(
        self,
        directory: Path,
        authority: Authority | None = None,
        *,
        tokens: TokenServer | None = None,
        name: str = "registry",
    ) -> None:
        """Describe a registry.

        Args:
            directory: its own.
            authority: signs its certificate; without one it speaks plain HTTP.
            tokens: who lets clients in; without one, the user's password does.
            name: where a run has several.
        """
        self.name = name
        self._directory = directory
        self._authority = authority
        self._tokens = tokens
        self._port = any_port()
        self._program = ""
        self.username = "lab"
        self.password = secrets.token_urlsafe(24)

    @property
    def version(self) -> str:
        """Of Debian's package."""
        return package_version("docker-registry")

    @property
    def host(self) -> str:
        """How references name it."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'https' if self._authority else 'http'}://{self.host}"

    @property
    def ca_file(self) -> Path | None:
        """Verifies its certificate."""
        return self._authority.certificate if self._authority else None

    @property
    def blobs(self) -> Path:
        """Where the bytes of blobs and manifests lie, each at `sha256/AB/ABCD…/data`."""
        return self._directory / "data" / "docker" / "registry" / "v2" / "blobs"

    def prepare(self) -> None:
        """Write its configuration and its user."""
        self._program = program("docker-registry")
        salt = bcrypt.gensalt(_BCRYPT_ROUNDS)
        hashed = bcrypt.hashpw(self.password.encode(), salt).decode()
        (self._directory / "htpasswd").write_text(f"{self.username}:{hashed}\n")
        (self._directory / "config.yml").write_text(yaml.safe_dump(self._configuration))

    def unit(self) -> Unit:
        """The registry."""
        line = [self._program, "serve", str(self._directory / "config.yml")]
        return Unit(self.name, line, _challenges(self.url, self.ca_file))

    @property
    def _configuration(self) -> dict[str, object]:
        http: dict[str, object] = {"addr": self.host}
        if self._authority:
            server = self._authority.server(self.name)
            http["tls"] = {"certificate": str(server.certificate), "key": str(server.key)}
        return {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._directory / "data")},
                "delete": {"enabled": True},
            },
            "http": http,
            "auth": self._auth,
        }

    @property
    def _auth(self) -> dict[str, object]:
        if self._tokens is None:
            return {"htpasswd": {"realm": "lab", "path": str(self._directory / "htpasswd")}}
        return {
            "token": {
                "realm": self._tokens.realm,
                "service": self._tokens.service,
                "issuer": self._tokens.issuer,
                "rootcertbundle": str(self._tokens.certificate),
            }
        }


def _challenges(url: str, ca_file: Path | None) -> Ready:
    """Whether it answers, and asks who is there."""
    verify = ssl.create_default_context(cafile=ca_file) if ca_file else True

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, verify=verify) as client:
                return (await client.get(f"{url}/v2/")).status_code == httpx.codes.UNAUTHORIZED
        except httpx.TransportError:
            return False

    return ready

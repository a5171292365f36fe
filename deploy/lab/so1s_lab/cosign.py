"""cosign: what people check images with, built from its module."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from so1s_lab import CHECKOUT
from so1s_lab.command import command
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.registry import Registry

_MODULE = "github.com/sigstore/cosign/v3"
PROGRAM = GoProgram(
    f"{_MODULE}/cmd/cosign", module=_MODULE, pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "cosign")
)
_CHECKS: dict[str, Any] = {"insecure_ignore_tlog": True, "allow_http_registry": True}
_BY_TAG: dict[str, Any] = {"new_bundle_format": False, "use_signing_config": False, "tlog_upload": False}
_SIGNS: dict[str, Any] = {"allow_http_registry": True, "yes": True}


class CosignError(Exception):
    """cosign said no; the message has its words."""


class Cosign:
    """Runs cosign against one registry, as its user; nothing of it reaches the network outside."""

    version = PROGRAM.version

    def __init__(self, directory: Path, registry: Registry) -> None:
        """Take where.

        Args:
            directory: its own, for the registry's password and its cache.
            registry: whose images it checks.
        """
        self._directory = directory
        self._registry = registry
        self._binary = Path()

    def prepare(self) -> None:
        """Build it, which takes minutes the first time, and write down the registry's password.

        Raises:
            MissingPartError: there is no Go, or the build fails.
        """
        self._binary = PROGRAM.build()
        pair = f"{self._registry.username}:{self._registry.password}".encode()
        auths = {self._registry.host: {"auth": base64.b64encode(pair).decode()}}
        config = self._directory / "config.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"auths": auths}))
        # Which logs and clocks to ask: none, since they are outside.
        self._signing_config.write_text(self.run("signing-config", "create"))

    def run(self, *words: str | Path, password: str = "", **options: object) -> str:
        """What a command of cosign prints.

        Args:
            words: such as `verify` and an image.
            password: of the key, by the environment.
            options: its flags.

        Raises:
            CosignError: it exits with another code than 0.
        """
        line = [str(self._binary), *command(*words, **options)]
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            line, env=self._environment(password), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CosignError(done.stderr.strip())
        return done.stdout

    def shell(self, script: str, directory: Path, variables: Mapping[str, str]) -> str:
        """What a script prints that calls `cosign`.

        Raises:
            CosignError: a line of it failed.
        """
        told = {**self._environment(""), **variables}
        told["PATH"] = f"{self._binary.parent}:{told['PATH']}"
        done = subprocess.run(  # noqa: S603 - the script is ours
            ["/bin/bash", "-euc", script],
            cwd=directory,
            env=told,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CosignError(done.stderr.strip())
        return done.stdout

    def sign(self, image: str, key: Path, *, password: str, bundle: bool) -> None:
        """Sign an image: as a bundle, which is cosign 3's own way, or with a tag, as all versions before."""
        how: dict[str, Any] = {"signing_config": self._signing_config} if bundle else _BY_TAG
        self.run("sign", image, password=password, key=key, **how, **_SIGNS)

    def attest(self, image: str, key: Path, predicate: Path, *, kind: str, password: str) -> None:
        """Attach a statement with a tag; `kind` is such as `cyclonedx`."""
        said: dict[str, Any] = {"key": key, "predicate": predicate, "type": kind}
        self.run("attest", image, password=password, **said, **_BY_TAG, **_SIGNS)

    def verify(self, image: str, key: Path, **options: Any) -> list[dict[str, Any]]:
        """The payloads of the signatures that it accepts."""
        return json.loads(self.run("verify", image, key=key, **_CHECKS, **options))

    def verify_attestation(self, image: str, key: Path, kind: str) -> dict[str, Any]:
        """The statement of the attestation of a type that it accepts."""
        printed = self.run("verify-attestation", image, key=key, type=kind, **_CHECKS)
        return json.loads(base64.b64decode(json.loads(printed.splitlines()[0])["payload"]))

    @property
    def _signing_config(self) -> Path:
        return self._directory / "signing-config.json"

    def _environment(self, password: str) -> dict[str, str]:
        own = {"DOCKER_CONFIG": str(self._directory), "HOME": str(self._directory)}
        return {"PATH": os.environ["PATH"], "COSIGN_PASSWORD": password, **own}

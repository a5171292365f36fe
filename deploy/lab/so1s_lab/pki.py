"""The certificates of a control plane: one authority, and a certificate for each who speaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs the certificates of one run; its own key is never written."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._ca = trustme.CA(organization_name="So1s lab")
        self.certificate = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.certificate)

    def server(self, name: str, *hosts: str) -> Identity:
        """For a server of some hosts; of this machine's loopback where none is named."""
        leaf = self._ca.issue_cert(*(hosts or ("127.0.0.1", "localhost")), common_name=name)
        return self._write(f"server-{name}", leaf)

    def client(self, user: str, *, group: str | None = None) -> Identity:
        """For a client: Kubernetes takes the common name as the user and the organization as a group."""
        # Go refuses a certificate whose list of names is there and empty.
        leaf = self._ca.issue_cert("localhost", common_name=user, organization_name=group)
        return self._write(f"client-{user.replace(':', '-')}", leaf)

    def _write(self, name: str, leaf: trustme.LeafCert) -> Identity:
        identity = Identity(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        identity.key.touch(mode=0o600)
        leaf.private_key_pem.write_to_path(identity.key)
        leaf.cert_chain_pems[0].write_to_path(identity.certificate)
        return identity

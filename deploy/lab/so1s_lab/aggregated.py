"""API servers beside the cluster's own, which passes on to them what is asked of their group."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from so1s.kubernetes import connect
from so1s_lab.control_plane import ControlPlane
from so1s_lab.manifests import Manifest, namespace, until_it_is
from so1s_lab.pki import Identity

_MANAGER = "lab"
_NAMESPACE = "monitoring"
_KIND = ("apiregistration.k8s.io/v1", "APIService")


@dataclass(frozen=True)
class AggregatedApi:
    """A version of a group that a server of this machine serves."""

    group: str
    version: str
    server: str
    """Its name; a service's, too."""
    port: int
    control_plane: ControlPlane

    @property
    def ca(self) -> Path:
        """Verifies the server's certificate."""
        return self.control_plane.server.authority.certificate

    @property
    def identity(self) -> Identity:
        """The server's certificate: for this machine, and for the service as which the cluster knows it."""
        hosts = ("127.0.0.1", "localhost", f"{self.server}.{_NAMESPACE}.svc")
        return self.control_plane.server.authority.server(self.server, *hosts)

    @property
    def kubeconfig(self) -> Path:
        """By which the server asks the cluster's own who its callers are, and what they may do."""
        return self.control_plane.server.kubeconfig(self.server, group="system:masters")

    def options(self, directory: Path) -> dict[str, object]:
        """Where and as whom the server serves, and how it knows its callers.

        Args:
            directory: the server's own.
        """
        own = self.identity
        return {
            "bind_address": "127.0.0.1",
            "secure_port": self.port,
            "cert_dir": directory,
            "tls_cert_file": own.certificate,
            "tls_private_key_file": own.key,
            "authentication_kubeconfig": self.kubeconfig,
            "authorization_kubeconfig": self.kubeconfig,
        }

    async def register(self) -> None:
        """Tell the cluster; returns once it passes on what is asked."""
        async with connect(self.control_plane.kubeconfig) as api:
            for manifest in (namespace(_NAMESPACE), self._service(), self._registration()):
                await api.apply(manifest, manager=_MANAGER)
            await until_it_is("Available", api, *_KIND, self._name)

    @property
    def _name(self) -> str:
        return f"{self.version}.{self.group}"

    def _service(self) -> Manifest:
        """Another name for this machine: an API server is registered as a service."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.server, "namespace": _NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }

    def _registration(self) -> Manifest:
        version, kind = _KIND
        return {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": self._name},
            "spec": {
                "group": self.group,
                "version": self.version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(self.ca.read_bytes()).decode(),
                "service": {"name": self.server, "namespace": _NAMESPACE, "port": self.port},
            },
        }

"""kube-apiserver: checks and keeps every object of the cluster."""

from __future__ import annotations

from pathlib import Path

from so1s_lab.command import command
from so1s_lab.etcd import Etcd
from so1s_lab.kubeconfig import write_kubeconfig
from so1s_lab.kubernetes import kubernetes_program
from so1s_lab.pki import Authority, Identity
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = kubernetes_program("kube-apiserver")

_SERVICE_ADDRESSES = "10.96.0.0/16"
_FRONT_PROXY = "front-proxy-client"


class ApiServer:
    """The API server; its authority gives each client a certificate."""

    name = "kube-apiserver"
    version = PROGRAM.version

    def __init__(self, directory: Path, etcd: Etcd, authority: Authority) -> None:
        self.authority = authority
        self.service_account_key = authority.server("service-accounts").key
        """Signs the tokens of pods; the controller manager needs it too."""
        self._directory = directory
        self._etcd = etcd
        self._port = any_port()
        self._binary = Path()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://127.0.0.1:{self._port}"

    def kubeconfig(self, user: str, *, group: str | None = None) -> Path:
        """A kubeconfig of a client that the server knows as this user and group."""
        return write_kubeconfig(
            self._directory / f"{user.replace(':', '-')}.kubeconfig",
            server=self.url,
            ca=self.authority.certificate,
            client=self.authority.client(user, group=group),
        )

    def options(self, component: str, port: int) -> dict[str, object]:
        """Where a component of the control plane serves, and how it knows its callers."""
        own, kubeconfig = self.authority.server(component), self.kubeconfig(f"system:{component}")
        return {
            "bind_address": "127.0.0.1",
            "secure_port": port,
            "tls_cert_file": own.certificate,
            "tls_private_key_file": own.key,
            "authentication_kubeconfig": kubeconfig,
            "authorization_kubeconfig": kubeconfig,
        }

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """With the admission plugins and feature gates of a stock server."""
        line = command(
            self._binary,
            bind_address="127.0.0.1",
            secure_port=self._port,
            advertise_address="127.0.0.1",
            # A server on the loopback cannot publish itself as the service `kubernetes`.
            endpoint_reconciler_type="none",
            service_cluster_ip_range=_SERVICE_ADDRESSES,
            authorization_mode="Node,RBAC",
            client_ca_file=self.authority.certificate,
            cert_dir=self._directory,
            profiling=False,
            **self._storage(),
            **self._own_certificates(),
            **self._service_accounts(),
            **self._aggregation(),
        )
        return Unit(self.name, line, answers(f"{self.url}/readyz", ca=self.authority.certificate))

    def _storage(self) -> dict[str, object]:
        client = self.authority.client("etcd-client")
        return {
            "etcd_servers": self._etcd.url,
            "etcd_cafile": self.authority.certificate,
            "etcd_certfile": client.certificate,
            "etcd_keyfile": client.key,
        }

    def _own_certificates(self) -> dict[str, object]:
        server = self.authority.server(self.name)
        kubelet = self.authority.client("kube-apiserver-kubelet-client", group="system:masters")
        return {
            "tls_cert_file": server.certificate,
            "tls_private_key_file": server.key,
            "kubelet_client_certificate": kubelet.certificate,
            "kubelet_client_key": kubelet.key,
            # The host names of fake nodes resolve nowhere.
            "kubelet_preferred_address_types": "InternalIP",
        }

    def _service_accounts(self) -> dict[str, object]:
        return {
            "service_account_issuer": "https://kubernetes.default.svc.cluster.local",
            "service_account_key_file": self.service_account_key,
            "service_account_signing_key_file": self.service_account_key,
        }

    def _aggregation(self) -> dict[str, object]:
        """What an aggregated API server, such as Prometheus Adapter, needs to trust this one."""
        proxy: Identity = self.authority.client(_FRONT_PROXY)
        return {
            # True would look for the endpoints of a service that is only another name for this machine.
            "enable_aggregator_routing": False,
            "requestheader_client_ca_file": self.authority.certificate,
            "requestheader_allowed_names": _FRONT_PROXY,
            "requestheader_username_headers": "X-Remote-User",
            "requestheader_group_headers": "X-Remote-Group",
            "requestheader_extra_headers_prefix": "X-Remote-Extra-",
            "proxy_client_cert_file": proxy.certificate,
            "proxy_client_key_file": proxy.key,
        }

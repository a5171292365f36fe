"""Prometheus Adapter: an API server beside the cluster's own, which serves autoscalers from Prometheus."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

from kubernetes_asyncio.client import ApiClient, ApiregistrationV1Api

from so1s_lab import CHECKOUT
from so1s_lab.command import command
from so1s_lab.control_plane import ControlPlane
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.manifests import Manifest, create, namespace
from so1s_lab.pki import Authority
from so1s_lab.ports import any_port
from so1s_lab.prometheus import Prometheus
from so1s_lab.readiness import answers
from so1s_local.process import Unit

PROGRAM = GoProgram(
    "sigs.k8s.io/prometheus-adapter/cmd/adapter",
    module="sigs.k8s.io/prometheus-adapter",
    pins=GoModule(CHECKOUT / "deploy" / "lab" / "go" / "prometheus-adapter"),
    name="prometheus-adapter",
)
API = "custom.metrics.k8s.io"
_VERSION = "v1beta1"
_NAMESPACE = "monitoring"
_AVAILABLE_SECONDS = 30.0


class PrometheusAdapter:
    """Serves the metrics of pods that its rules name; `register` tells the cluster of it."""

    name = "prometheus-adapter"
    version = PROGRAM.version

    def __init__(
        self, directory: Path, control_plane: ControlPlane, prometheus: Prometheus, *, rules: Path
    ) -> None:
        """Describe an adapter.

        Args:
            directory: its own.
            control_plane: whose autoscalers ask it.
            prometheus: whom it asks.
            rules: its configuration: which series are which pods' metrics.
        """
        self._directory = directory
        self._control_plane = control_plane
        self._prometheus = prometheus
        self._rules = rules
        self._port = any_port()
        self._binary = Path()

    @property
    def _authority(self) -> Authority:
        return self._control_plane.server.authority

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()

    def unit(self) -> Unit:
        """It looks for new series each second, and asks the cluster's own server who its callers are."""
        kubeconfig = self._control_plane.server.kubeconfig(self.name, group="system:masters")
        hosts = ("127.0.0.1", "localhost", f"{self.name}.{_NAMESPACE}.svc")
        own = self._authority.server(self.name, *hosts)
        line = command(
            self._binary,
            config=self._rules.absolute(),
            prometheus_url=self._prometheus.url,
            metrics_relist_interval="1s",
            bind_address="127.0.0.1",
            secure_port=self._port,
            cert_dir=self._directory,
            tls_cert_file=own.certificate,
            tls_private_key_file=own.key,
            lister_kubeconfig=kubeconfig,
            authentication_kubeconfig=kubeconfig,
            authorization_kubeconfig=kubeconfig,
        )
        return Unit(
            self.name,
            line,
            answers(f"https://127.0.0.1:{self._port}/healthz", ca=self._authority.certificate),
        )

    async def register(self) -> None:
        """Have the cluster's API server pass on what is asked of custom metrics; returns once it does."""
        async with self._control_plane.client() as api:
            await create(api, namespace(_NAMESPACE))
            await create(api, self._service(), self._registration())
            async with asyncio.timeout(_AVAILABLE_SECONDS):
                while not await _is_available(api):  # noqa: ASYNC110 - it is asked, it does not tell
                    await asyncio.sleep(0.05)

    def _service(self) -> Manifest:
        """Another name for this machine: an API server is registered as a service."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name, "namespace": _NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }

    def _registration(self) -> Manifest:
        authority = base64.b64encode(self._authority.certificate.read_bytes()).decode()
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{_VERSION}.{API}"},
            "spec": {
                "group": API,
                "version": _VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": authority,
                "service": {"name": self.name, "namespace": _NAMESPACE, "port": self._port},
            },
        }


async def _is_available(api: ApiClient) -> bool:
    found = await ApiregistrationV1Api(api).read_api_service(f"{_VERSION}.{API}")
    conditions = found.status.conditions or []
    return any(each.type == "Available" and each.status == "True" for each in conditions)

"""istiod: turns VirtualServices into what Envoy is told, and refuses those that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from so1s_lab.apiserver import ApiServer
from so1s_lab.command import command
from so1s_lab.go import CONTROL_PLANE, GoProgram
from so1s_lab.manifests import Manifest
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit

_MODULE = "istio.io/istio"
PROGRAM = GoProgram(f"{_MODULE}/pilot/cmd/pilot-discovery", module=_MODULE, name="istiod")
_CRDS = "manifests/charts/base/files/crd-all.gen.yaml"

SYSTEM_NAMESPACE = "istio-system"
AUDIENCE = "istio-ca"
"""Whom a token must be meant for that a proxy shows."""
WEBHOOK = "istio-validator-istio-system"
_ENVIRONMENT = {
    "POD_NAME": "istiod-0",
    "POD_NAMESPACE": SYSTEM_NAMESPACE,
    "REVISION": "default",
    "ISTIOD_CUSTOM_HOST": "127.0.0.1",
    "ENABLE_LEADER_ELECTION": "false",
    "INJECT_ENABLED": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",
    # Filters of Istio's own proxy, which the stock Envoy lacks.
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
}
_MESH = {"enableAutoMtls": False, "accessLogFile": ""}


class Istiod:
    """Istio's control plane, whose webhook validates what the API server is given."""

    name = "istiod"
    version = PROGRAM.version

    def __init__(self, directory: Path, server: ApiServer, *, debounce_milliseconds: int) -> None:
        self.discovery_port = any_port()
        """Where proxies ask for their configuration (ADS over TLS)."""
        self._directory = directory
        self._server = server
        self._debounce = f"{debounce_milliseconds}ms"
        self._ports = {name: any_port() for name in ("http", "https", "monitoring")}
        self._binary = Path()
        self._crds = Path()

    def prepare(self) -> None:
        """Build it."""
        self._binary = PROGRAM.build()
        self._crds = CONTROL_PLANE.file(_MODULE, _CRDS)

    def unit(self) -> Unit:
        """With a certificate of the cluster's authority, which it writes into its webhook."""
        mesh = self._directory / "mesh.json"
        mesh.write_text(json.dumps(_MESH))
        own = self._server.authority.server(self.name)
        line = command(
            self._binary,
            "discovery",
            "--ctrlz_port=0",
            kubeconfig=self._server.kubeconfig("istiod", group="system:masters"),
            meshConfig=mesh,
            httpAddr=f"127.0.0.1:{self._ports['http']}",
            httpsAddr=f"127.0.0.1:{self._ports['https']}",
            grpcAddr="",
            secureGRPCAddr=f"127.0.0.1:{self.discovery_port}",
            monitoringAddr=f"127.0.0.1:{self._ports['monitoring']}",
            caCertFile=self._server.authority.certificate,
            tlsCertFile=own.certificate,
            tlsKeyFile=own.key,
            shutdownDuration="0s",
        )
        environment = _ENVIRONMENT | {"PILOT_DEBOUNCE_AFTER": self._debounce}
        return Unit(self.name, line, answers(f"http://127.0.0.1:{self._ports['http']}/ready"), environment)

    def definitions(self) -> list[Manifest]:
        """Istio's kinds of objects; there once it is prepared."""
        documents = yaml.load_all(self._crds.read_bytes(), Loader=yaml.CSafeLoader)
        return [each for each in documents if each]

    def webhook(self) -> Manifest:
        """What Istio's chart registers, but by address; istiod writes its authority into it."""
        groups = ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"]
        rule = {
            "operations": ["CREATE", "UPDATE"],
            "apiGroups": groups,
            "apiVersions": ["*"],
            "resources": ["*"],
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": WEBHOOK, "labels": {"app": "istiod", "istio.io/rev": "default"}},
            "webhooks": [
                {
                    "name": "rev.validation.istio.io",
                    "clientConfig": {"url": f"https://127.0.0.1:{self._ports['https']}/validate"},
                    "rules": [rule],
                    # Until istiod is there and turns it to Fail itself.
                    "failurePolicy": "Ignore",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }

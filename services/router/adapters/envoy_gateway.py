"""Envoy's bootstrap and its one listener."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.router.adapters.envoy_files import Resource

LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES_NAME = "endpoints"
_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"

LATENCY_BUCKETS_MS = (
    0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750,
    1000, 1500, 2000, 3000, 5000, 10_000, 30_000, 60_000,
)  # fmt: skip
"""Upper bounds of Envoy's latency histograms: fine enough for quantiles of single milliseconds."""

_NO_REPLICA = {"error": "no replica of this variant is ready to answer"}
_NO_ANSWER = {"error": "the replica gave no answer"}


@dataclass(frozen=True)
class GatewayFiles:
    """Where Envoy's configuration lies."""

    directory: Path

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with: `envoy -c`."""
        return self.directory / "bootstrap.json"

    @property
    def listeners(self) -> Path:
        """Listener discovery."""
        return self.directory / "lds.json"

    @property
    def clusters(self) -> Path:
        """Cluster discovery."""
        return self.directory / "cds.json"

    @property
    def routes(self) -> Path:
        """Route discovery."""
        return self.directory / "rds.json"


def bootstrap(files: GatewayFiles, admin_port: int) -> Resource:
    """What Envoy is started with: where its dynamic configuration is, and how it measures."""
    return {
        "node": {"id": "so1s-gateway", "cluster": "so1s"},
        "admin": {"address": _address("127.0.0.1", admin_port)},
        "dynamic_resources": {
            "lds_config": watched(files.listeners),
            "cds_config": watched(files.clusters),
        },
        # Histograms are merged at a flush; at the default of 5 s they would lag behind the counters.
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(LATENCY_BUCKETS_MS)}
            ]
        },
    }


def listener(files: GatewayFiles, host: str, port: int) -> Resource:
    """The one listener that serves every endpoint."""
    return {
        "name": "gateway",
        "address": _address(host, port),
        # With it, two gateways on one port would share the calls between them, and neither would notice.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "http", "typed_config": _connection_manager(files.routes)}]},
        ],
    }


def watched(path: Path) -> Resource:
    """A configuration source that follows a file."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _connection_manager(routes: Path) -> Resource:
    return {
        "@type": f"{_HTTP}.HttpConnectionManager",
        "stat_prefix": "gateway",
        "rds": {"route_config_name": ROUTES_NAME, "config_source": watched(routes)},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}}
        ],
        "strip_any_host_port": True,  # callers send HOST:PORT, virtual hosts match HOST
        # No caller is trusted, not even a local one: none steers retries or timeouts by x-envoy headers.
        # An empty list would mean the usual private addresses; this range is never a caller's (RFC 5737).
        "use_remote_address": True,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "192.0.2.0", "prefix_len": 24}]},
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "local_reply_config": {"mappers": _local_replies()},
    }


def _local_replies() -> list[Resource]:
    """Envoy's own answers as JSON, like those of the inference server."""
    # UH no healthy replica, NC unknown cluster; UF, UC, UT: connection failed, was cut, or timed out.
    return [
        _local_reply(["UH", "NC"], _NO_REPLICA),
        _local_reply(["UF", "UC", "UR", "LR", "UO", "UT", "URX"], _NO_ANSWER),
    ]


def _local_reply(flags: list[str], body: Resource) -> Resource:
    return {
        "filter": {"response_flag_filter": {"flags": flags}},
        "body_format_override": {"json_format": body},
    }


def _address(host: str, port: int) -> Resource:
    return {"socket_address": {"address": host, "port_value": port}}

"""Envoy clusters: two for each variant, whose replicas are those of its deployment."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.router.adapters.envoy_files import Resource
from services.router.adapters.envoy_gateway import watched
from services.router.domain.route import Arm

CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_CONNECT_TIMEOUT = "1s"
_IDLE_SECONDS = 300
"""Under the inference server's own 3,700 s, so that Envoy is the one that closes a connection."""
_UNLIMITED = 100_000
"""The inference server limits its own concurrency and answers 429; Envoy shall not be in its way."""


def cluster_name(account: str, deployment: str) -> str:
    """The name of a variant's cluster, which its statistics bear."""
    return f"{account}--{deployment}"


def grpc_name(name: str) -> str:
    """The name of the cluster that takes a variant's calls over gRPC."""
    return f"{name}--grpc"


def endpoint_file(arm: Arm) -> Path | None:
    """The file that lists an arm's replicas; None where its service is none or it is not there."""
    try:
        url = urlsplit(arm.service)
        path = Path(unquote(url.path))
        return path if url.scheme == "file" and path.is_file() else None
    except (ValueError, OSError):  # such as a bracket without its pair, or a name that is too long
        return None


def clusters(name: str, endpoints: Path) -> list[Resource]:
    """The clusters of a variant: the same replicas over HTTP/1.1, and over HTTP/2 for gRPC.

    Both count in the statistics of the first one's name, so that a variant's requests are one sum.
    """
    over_grpc = {"name": grpc_name(name), "alt_stat_name": name}
    return [
        _cluster(name, endpoints, {"http_protocol_options": {}}),
        _cluster(name, endpoints, {"http2_protocol_options": {}}) | over_grpc,
    ]


def _cluster(name: str, endpoints: Path, protocol: Resource) -> Resource:
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"service_name": name, "eds_config": watched(endpoints)},
        "connect_timeout": _CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",
        # A replica that fails its checks takes no traffic, be it the majority that fails.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # A replica that is taken off the list is left at once; its requests in flight are finished.
        "ignore_health_on_host_removal": True,
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": {"thresholds": [_limits()]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP_OPTIONS,
                "common_http_protocol_options": {"idle_timeout": f"{_IDLE_SECONDS}s"},
                "explicit_http_config": protocol,
                "outlier_detection": {"error_matcher": _sick()},
            }
        },
    }


def _health_check() -> Resource:
    """Ask each replica every second, whether or not it has traffic."""
    return {
        "timeout": "1s",
        "interval": "1s",
        "no_traffic_interval": "1s",
        "unhealthy_interval": "0.5s",
        "no_traffic_healthy_interval": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/v2/health/ready"},
    }


def _outlier_detection() -> Resource:
    """Leave a replica alone that fails again and again, for 2 s at first, unless it is the only one."""
    return {
        "consecutive_5xx": 5,
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,
    }


def _sick() -> Resource:
    """Answers of a sick replica: 5xx, but neither 429 nor 503: one that is full or loads is not sick."""
    answers = [{"start": 500, "end": 503}, {"start": 504, "end": 600}]
    matches = [
        {"http_response_headers_match": {"headers": [{"name": ":status", "range_match": codes}]}}
        for codes in answers
    ]
    return {"or_match": {"rules": matches}}


def _limits() -> Resource:
    return {
        "max_connections": _UNLIMITED,
        "max_pending_requests": _UNLIMITED,
        "max_requests": _UNLIMITED,
        # Envoy's default of 3 retries at a time is too few when a busy replica dies.
        "retry_budget": {"budget_percent": {"value": 50}, "min_retry_concurrency": 100},
    }

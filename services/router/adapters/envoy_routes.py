"""Envoy virtual hosts: one for each endpoint, and one that answers for all other hosts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from services.router.adapters.envoy_clusters import cluster_name, grpc_name
from services.router.adapters.envoy_files import Resource
from services.router.adapters.envoy_gateway import ROUTES_NAME
from services.router.domain.route import Arm, Route

ROUTES_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
REVISION_PATH = "/.well-known/so1s/revision"
OTHER_HOSTS = "other"
"""The name of the virtual host that answers where no endpoint has the host."""
VARIANT_HEADER = "x-so1s-variant"
REVISION_HEADER = "x-so1s-revision"

_PREVIOUS_HOSTS = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
_NO_HOST = {"error": "no endpoint has this host"}
_NO_VARIANT = {"error": "no variant of this endpoint takes traffic"}


def route_configuration(virtual_hosts: Iterable[Resource]) -> Resource:
    """Everything that the listener routes by."""
    return {"name": ROUTES_NAME, "virtual_hosts": [*virtual_hosts, _any_other_host()]}


def virtual_host_name(route: Route) -> str:
    """The name of an endpoint's virtual host."""
    return f"{route.endpoint}--{route.account}"


def virtual_host(route: Route, timeout_seconds: float) -> Resource:
    """What the gateway does for an endpoint's host."""
    revision = {"match": {"path": REVISION_PATH}, **_direct(200, {"revision": route.revision})}
    return {
        "name": virtual_host_name(route),
        "domains": [route.host],
        "routes": [revision, *_traffic(route, timeout_seconds)],
        "response_headers_to_add": [_header(REVISION_HEADER, str(route.revision))],
    }


def clusters_of(host: Resource) -> set[str]:
    """The clusters that a virtual host sends traffic to."""
    actions = [route.get("route", {}) for route in host.get("routes", [])]
    arms = [arm for action in actions for arm in action.get("weighted_clusters", {}).get("clusters", [])]
    return {arm["name"] for arm in arms}


def _traffic(route: Route, timeout_seconds: float) -> list[Resource]:
    """What goes to variants: gRPC to their clusters of HTTP/2, the rest to the others."""
    everything: Resource = {"match": {"prefix": "/"}}
    names = {cluster_name(route.account, arm.variant): arm for arm in route.arms if arm.weight}
    if not names:
        return [{**everything, **_direct(503, _NO_VARIANT)}]
    over_grpc = {grpc_name(name): arm for name, arm in names.items()}
    return [
        {
            "match": {"prefix": "/", "grpc": {}},
            "route": _action(over_grpc, timeout_seconds, "resource-exhausted,unavailable"),
        },
        {**everything, "route": _action(names, timeout_seconds, "retriable-status-codes")},
    ]


def _action(arms: Mapping[str, Arm], timeout_seconds: float, busy: str) -> Resource:
    """Split the requests between clusters; `busy` is a replica's word for full or still loading."""
    weighted = [
        {
            "name": name,
            "weight": arm.weight,
            "response_headers_to_add": [_header(VARIANT_HEADER, arm.variant)],
        }
        for name, arm in arms.items()
    ]
    return {
        "weighted_clusters": {"clusters": weighted},
        "timeout": f"{timeout_seconds}s",
        "retry_policy": _retry_policy(busy),
    }


def _retry_policy(busy: str) -> Resource:
    """Try another replica where the first gave no answer, or said that it does not take the request.

    A prediction changes nothing, so that it may be asked for twice: `reset` covers a replica that
    dies with the request in hand. 429 is the inference server's word for full, 503 for still loading;
    over gRPC these are RESOURCE_EXHAUSTED and UNAVAILABLE. Both are said before the model is asked, and
    cost next to nothing. Two retries at most, so that a request that kills its replica cannot kill many,
    and an endpoint of which all replicas are full is asked three times, not without end; the last 429
    reaches the caller, with its Retry-After.
    """
    return {
        "retry_on": f"connect-failure,refused-stream,reset-before-request,reset,{busy}",
        "retriable_status_codes": [429, 503],
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": _PREVIOUS_HOSTS},
            }
        ],
        # Each draw favours the replica with the fewest requests, which is the dead one: at 3 of 4
        # draws for two replicas, the default of one more draw would end there again and again.
        "host_selection_retry_max_attempts": 100,
    }


def _any_other_host() -> Resource:
    return {
        "name": OTHER_HOSTS,
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, **_direct(404, _NO_HOST)}],
    }


def _direct(status: int, body: Resource) -> Resource:
    return {
        "direct_response": {"status": status, "body": {"inline_string": json.dumps(body)}},
        "response_headers_to_add": [_header("content-type", "application/json")],
    }


def _header(name: str, value: str) -> Resource:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}

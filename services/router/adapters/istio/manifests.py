"""Routes as Istio's objects.

https://istio.io/latest/docs/reference/config/networking/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from services.router.adapters.istio.objects import API_VERSION, Key, Object
from services.router.domain.route import Arm, Route
from so1s.kubernetes import Refused
from so1s.kubernetes.labels import GRPC_PORT

GATEWAY = "Gateway"
VIRTUAL_SERVICE = "VirtualService"
DESTINATION_RULE = "DestinationRule"

REVISION_PATH = "/.well-known/so1s/revision"
VARIANT_HEADER = "x-so1s-variant"
REVISION_HEADER = "x-so1s-revision"

_HEAVIEST_SUM = 2**31 - 1
"""Istio adds the weights of a route as 32-bit integers; their sum may be any other than 0."""
_UNLIMITED = 100_000
"""The inference server limits its own concurrency and answers 429; a gateway shall not be in its way."""
_SERVICE = re.compile(
    r"k8s://(?P<host>[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}\.svc(?:\.[a-z0-9.-]+)?):(?P<port>[0-9]{1,5})"
)
_LAST_PORT = 65_535
_NO_HOST = {"error": "no endpoint has this host"}
# Every call over gRPC says so.
_GRPC = [{"headers": {"content-type": {"prefix": "application/grpc"}}}]
_NO_VARIANT = {"error": "no variant of this endpoint takes traffic"}


@dataclass(frozen=True)
class Gateway:
    """The one gateway of all endpoints."""

    namespace: str
    name: str
    selector: Mapping[str, str]
    """The labels of the pods that are the gateway."""
    domain: str
    port: int
    credential: str | None
    """The Secret of the wildcard certificate, beside the gateway's pods; without one it speaks plain HTTP."""
    bind: str | None
    """The address that it listens on; all of its pod's where it is absent."""


@dataclass(frozen=True)
class Sharing:
    """What the objects of all endpoints have in common."""

    namespace: str
    """Of the virtual services; it also tells this router's objects from those of another one."""
    gateway: str
    """`NAMESPACE/NAME` of the Gateway that the hosts are bound to."""
    export_to: tuple[str, ...]
    """The namespaces whose gateways may see the objects; Istio's own default where there is none."""
    domain: str
    timeout_seconds: float
    """How long a caller waits at most, retries included."""

    @property
    def labels(self) -> dict[str, str]:
        """What every object of this router bears, and no other."""
        return {
            "app.kubernetes.io/managed-by": "so1s-router",
            "app.kubernetes.io/instance": self.namespace,
        }

    @property
    def selector(self) -> str:
        """The labels as the API is asked for them."""
        return ",".join(f"{name}={value}" for name, value in self.labels.items())


@dataclass(frozen=True)
class Service:
    """A Kubernetes Service's port."""

    host: str
    port: int

    @classmethod
    def of(cls, arm: Arm) -> Service:
        """The service of an arm, which its deployment said as `k8s://HOST:PORT`.

        Raises:
            Refused: it said anything else.
        """
        found = _SERVICE.fullmatch(arm.service)
        if not found or not 0 < int(found["port"]) <= _LAST_PORT:
            raise Refused(
                f"{arm.variant}: service {arm.service!r} is not k8s://NAME.NAMESPACE.svc.DOMAIN:PORT"
            )
        return cls(found["host"], int(found["port"]))

    @property
    def name(self) -> str:
        """The Service's."""
        return self.host.split(".")[0]

    @property
    def namespace(self) -> str:
        """The Service's."""
        return self.host.split(".")[1]


def gateway_key(gateway: Gateway) -> Key:
    """The key of a gateway."""
    return Key(GATEWAY, gateway.namespace, gateway.name)


def route_key(route: Route, sharing: Sharing) -> Key:
    """The key of an endpoint's virtual service."""
    return Key(VIRTUAL_SERVICE, sharing.namespace, route_name(route))


def route_name(route: Route) -> str:
    """The name of an endpoint's virtual service, and of its traffic in Envoy: `fraud--risk`."""
    return f"{route.endpoint}--{route.account}"


def rule_key(service: Service) -> Key:
    """The key of a service's rule, beside the service: there every gateway's Istio finds it."""
    return Key(DESTINATION_RULE, service.namespace, service.name)


def other_hosts_key(sharing: Sharing) -> Key:
    """The key of what answers for hosts that no endpoint has."""
    return Key(VIRTUAL_SERVICE, sharing.namespace, "other-hosts")


def gateway_object(gateway: Gateway, sharing: Sharing) -> Object:
    """One wildcard host for the routes of this router alone, so that no tenant's can take a host of it."""
    secure = {"tls": {"mode": "SIMPLE", "credentialName": gateway.credential}} if gateway.credential else {}
    protocol = "HTTPS" if gateway.credential else "HTTP"
    server = {
        "hosts": [f"{sharing.namespace}/*.{gateway.domain}"],
        "port": {"number": gateway.port, "name": protocol.lower(), "protocol": protocol},
        **secure,
        **({"bind": gateway.bind} if gateway.bind else {}),
    }
    spec = {"selector": dict(gateway.selector), "servers": [server]}
    return _object(gateway_key(gateway), sharing, spec)


def virtual_service(route: Route, sharing: Sharing) -> Object:
    """What gateways do for an endpoint's host.

    Raises:
        Refused: an arm has no service that Istio knows, or the weights are too large together.
    """
    revision = {
        "name": "revision",
        "match": [{"uri": {"exact": REVISION_PATH}}],
        **_direct(200, {"revision": route.revision}),
    }
    spec = _routing(route.host, sharing, [revision, *_traffic(route, sharing)])
    return _object(route_key(route, sharing), sharing, spec)


def other_hosts(sharing: Sharing) -> Object:
    """The answer to hosts that no endpoint has."""
    spec = _routing(f"*.{sharing.domain}", sharing, [{"name": "other-hosts", **_direct(404, _NO_HOST)}])
    return _object(other_hosts_key(sharing), sharing, spec)


def destination_rule(service: Service, sharing: Sharing) -> Object:
    """How gateways treat the replicas behind a service."""
    policy = {
        "loadBalancer": {"simple": "LEAST_REQUEST"},
        "connectionPool": {
            "tcp": {"maxConnections": _UNLIMITED, "connectTimeout": "1s"},
            "http": {
                "http1MaxPendingRequests": _UNLIMITED,
                "http2MaxRequests": _UNLIMITED,
                # Under the inference server's own 3,700 s, so that the gateway is the one that closes.
                "idleTimeout": "300s",
            },
        },
        "outlierDetection": _outlier_detection(),
    }
    spec = {"host": service.host, **_exported(sharing), "trafficPolicy": policy}
    return _object(rule_key(service), sharing, spec)


def destinations(virtual_service: Object) -> set[str]:
    """The hosts of the services that a virtual service sends traffic to."""
    arms = [arm for http in virtual_service.get("spec", {}).get("http", []) for arm in http.get("route", [])]
    return {arm["destination"]["host"] for arm in arms if arm.get("weight")}


def normalised(weights: Sequence[int]) -> list[int]:
    """Weights in the same exact ratio, as small as they can be; a 0 stays a 0.

    Raises:
        Refused: Istio cannot add them up.
    """
    divisor = gcd(*weights) or 1
    reduced = [weight // divisor for weight in weights]
    if sum(reduced) > _HEAVIEST_SUM:
        raise Refused(f"weights: their sum is {sum(reduced)}; allowed: at most {_HEAVIEST_SUM}")
    return reduced


def _traffic(route: Route, sharing: Sharing) -> list[Object]:
    """What goes to variants: gRPC to the port of HTTP/2 of their services, the rest to the other."""
    headers = {"headers": {"response": {"set": {REVISION_HEADER: str(route.revision)}}}}
    named = {"name": route_name(route)}
    if not any(arm.weight for arm in route.arms):
        return [{**named, **_direct(503, _NO_VARIANT, {REVISION_HEADER: str(route.revision)})}]
    weights = normalised([arm.weight for arm in route.arms])
    arms = [(Service.of(arm), arm.variant, weight) for arm, weight in zip(route.arms, weights, strict=True)]
    common = {"timeout": f"{sharing.timeout_seconds:g}s", "retries": _retries(), **headers}
    over_grpc = [_arm(service, GRPC_PORT, variant, weight) for service, variant, weight in arms]
    over_http = [_arm(service, service.port, variant, weight) for service, variant, weight in arms]
    return [
        {"name": f"{route_name(route)}--grpc", "match": _GRPC, "route": over_grpc, **common},
        {**named, "route": over_http, **common},
    ]


def _arm(service: Service, port: int, variant: str, weight: int) -> Object:
    return {
        "destination": {"host": service.host, "port": {"number": port}},
        "weight": weight,
        "headers": {"response": {"set": {VARIANT_HEADER: variant}}},
    }


def _retries() -> Object:
    """Try another replica only where the first cannot have begun: never after an answer, be it a 5xx.

    The one answer that says so is 429, over gRPC RESOURCE_EXHAUSTED: the inference server is full.
    """
    return {
        "attempts": 2,
        "retryOn": "connect-failure,refused-stream,reset-before-request,resource-exhausted,429",
        "backoff": "5ms",
    }


def _outlier_detection() -> Object:
    """Leave a replica alone that fails again and again, for 2 s at first, unless it is the only one.

    A full one answers 429, which is no 5xx. Istio cannot tell the 503 of a replica that loads from a sick
    one's 500; but one that loads gets no traffic, since it is not ready.
    """
    return {
        "consecutive5xxErrors": 10,
        "consecutiveGatewayErrors": 0,
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 3,
        "interval": "1s",
        "baseEjectionTime": "2s",
        "maxEjectionPercent": 50,
    }


def _routing(host: str, sharing: Sharing, http: list[Object]) -> Object:
    return {"hosts": [host], "gateways": [sharing.gateway], **_exported(sharing), "http": http}


def _exported(sharing: Sharing) -> Object:
    return {"exportTo": list(sharing.export_to)} if sharing.export_to else {}


def _direct(status: int, body: Object, headers: Mapping[str, str] | None = None) -> Object:
    return {
        "directResponse": {"status": status, "body": {"string": json.dumps(body)}},
        "headers": {"response": {"set": {"content-type": "application/json", **(headers or {})}}},
    }


def _object(key: Key, sharing: Sharing, spec: dict[str, Any]) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "labels": sharing.labels},
        "spec": spec,
    }

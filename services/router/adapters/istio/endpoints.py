"""What EndpointSlices say of the pods behind a service.

https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from __future__ import annotations

from collections.abc import Iterable

from services.router.adapters.istio.objects import Key, Object
from so1s.errors import TemporaryError
from so1s.kubernetes import Api, Refused
from so1s.kubernetes.paths import path

API_VERSION = "discovery.k8s.io/v1"
KIND = "EndpointSlice"


def slices_of(service: str) -> str:
    """The label selector of a service's slices."""
    return f"kubernetes.io/service-name={service}"


def slices_key(host: str) -> Key:
    """What stands for all slices of the service `NAME.NAMESPACE.svc.DOMAIN`."""
    name, namespace, *_ = host.split(".")
    return Key(KIND, namespace, name)


async def takes_traffic(api: Api, host: str) -> bool:
    """Whether any pod of the service `NAME.NAMESPACE.svc.DOMAIN` is ready.

    Raises:
        TemporaryError: the API does not answer, or does not let it be read.
    """
    key = slices_key(host)
    try:
        found = await api.read(path(API_VERSION, KIND, key.namespace), {"labelSelector": slices_of(key.name)})
    except Refused as error:  # of the question, not of the route
        raise TemporaryError(str(error)) from error
    return any(_is_ready(endpoint) for each in found["items"] for endpoint in each["endpoints"] or [])


def addresses(slices: Iterable[Object], port: str) -> list[str]:
    """`HOST:PORT` of every ready pod, for the port of a name."""
    return sorted(
        _joined(endpoint["addresses"][0], number["port"])
        for each in slices
        for number in each.get("ports") or []
        if number.get("name") == port
        for endpoint in each["endpoints"] or []
        if _is_ready(endpoint)
    )


def _is_ready(endpoint: Object) -> bool:
    """Whether it takes traffic; where nothing is said, it does."""
    return endpoint.get("conditions", {}).get("ready") is not False


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

"""The gateways that callers reach, asked one by one what they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from services.router.adapters.istio.endpoints import API_VERSION, KIND, addresses, slices_of
from services.router.adapters.istio.manifests import REVISION_PATH
from services.router.adapters.served_revision import served_revision
from so1s.kubernetes import Api, Mirror


@dataclass(frozen=True)
class GatewayService:
    """The Kubernetes Service before the gateway's pods."""

    namespace: str
    name: str
    port: str
    """The name of its port for endpoints' hosts."""

    def mirror(self, api: Api) -> Mirror:
        """Follows the pods."""
        return api.mirror(API_VERSION, KIND, label_selector=slices_of(self.name), namespace=self.namespace)

    def addresses(self, mirror: Mirror) -> list[str]:
        """`HOST:PORT` of every pod that takes traffic."""
        return addresses(mirror.objects.values(), self.port)


@dataclass(frozen=True)
class Probe:
    """Asks gateways which revision of a host's route they serve.

    Args:
        http: verifies the certificate of `https` gateways for the host that it asks for.
        scheme: `http` or `https`.
    """

    http: httpx.AsyncClient
    scheme: str

    async def revisions(self, gateways: Sequence[str], host: str) -> Sequence[int | None]:
        """The revision that the gateway at each `HOST:PORT` answers with; None where it has none."""
        urls = [f"{self.scheme}://{gateway}{REVISION_PATH}" for gateway in gateways]
        return await asyncio.gather(*(served_revision(self.http, url, host) for url in urls))

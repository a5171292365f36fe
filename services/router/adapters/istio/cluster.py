"""The API server, as far as a mesh needs it: followed while it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from services.router.adapters.istio.gateways import GatewayService
from services.router.adapters.istio.manifests import (
    DESTINATION_RULE,
    GATEWAY,
    VIRTUAL_SERVICE,
    Gateway,
    Sharing,
)
from services.router.adapters.istio.objects import API_VERSION, Objects
from so1s.errors import Unreachable
from so1s.kubernetes import Api, Mirror


@dataclass(frozen=True)
class Cluster:
    """What is there while it is followed."""

    api: Api
    objects: Objects
    """The router's own."""
    gateways: Callable[[], Sequence[str]]
    """`HOST:PORT` of each gateway by now."""


@dataclass
class Following:
    """Follows what is in the API server while `run` runs."""

    connect: Callable[[], AbstractAsyncContextManager[Api]]
    gateways: Sequence[str] | GatewayService
    sharing: Sharing
    gateway: Gateway | None
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        """Nothing is followed yet."""
        self._cluster: Cluster | None = None
        self._begun = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            Refused: a permission is missing.
            TemporaryError: the API server does not answer.
        """
        async with AsyncExitStack() as stack:
            self._cluster = await self._open(stack)
            stack.callback(self._begun.clear)
            self._begun.set()
            await asyncio.Event().wait()

    async def cluster(self, patience_seconds: float) -> Cluster:
        """What is there, once it is followed.

        Raises:
            Unreachable: it is not followed in time.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                await self._begun.wait()
        except TimeoutError:
            raise Unreachable("the Kubernetes API has not shown yet which routes are there") from None
        assert self._cluster
        return self._cluster

    async def _open(self, stack: AsyncExitStack) -> Cluster:
        api = await stack.enter_async_context(self.connect())
        mirrors = {
            kind: await stack.enter_async_context(mirror) for kind, mirror in self._mirrors(api).items()
        }
        gateways = await self._gateways(api, stack)
        return Cluster(api, Objects(api, mirrors, self.clock), gateways)

    def _mirrors(self, api: Api) -> dict[str, Mirror]:
        """Of the router's objects; rules lie in the namespaces of their services."""
        namespaces = {VIRTUAL_SERVICE: self.sharing.namespace, DESTINATION_RULE: None}
        if self.gateway:
            namespaces[GATEWAY] = self.gateway.namespace
        selector = self.sharing.selector
        return {
            kind: api.mirror(API_VERSION, kind, label_selector=selector, namespace=namespace)
            for kind, namespace in namespaces.items()
        }

    async def _gateways(self, api: Api, stack: AsyncExitStack) -> Callable[[], Sequence[str]]:
        known = self.gateways
        if not isinstance(known, GatewayService):
            return lambda: known
        pods = await stack.enter_async_context(known.mirror(api))
        return lambda: known.addresses(pods)

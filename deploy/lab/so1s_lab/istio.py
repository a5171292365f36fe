"""Istio with one gateway, as an operator's cluster has it before So1s comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kubernetes_asyncio.client import AdmissionregistrationV1Api, ApiClient, CustomObjectsApi

from so1s.blocking import wait_for
from so1s_lab.control_plane import ControlPlane
from so1s_lab.gateway import Gateway
from so1s_lab.istiod import SYSTEM_NAMESPACE, WEBHOOK, Istiod
from so1s_lab.manifests import Manifest, create, namespace
from so1s_lab.runner import Runner

_GATEWAY_NAMESPACE = "istio-ingress"
_GATEWAY_LABELS = {"istio": "so1s-gateway"}
_GATEWAY_NAME = "so1s"
_DEBOUNCE_MILLISECONDS = 10
_CLOSED_WITHIN_SECONDS = 30.0


class Istio:
    """istiod and an Envoy behind one Istio Gateway for every host; started by `start`."""

    gateway = f"{_GATEWAY_NAMESPACE}/{_GATEWAY_NAME}"
    """The Istio Gateway, as a VirtualService names it."""
    gateway_namespace = _GATEWAY_NAMESPACE
    gateway_labels = _GATEWAY_LABELS
    """Of the Envoy, for a Gateway of one's own."""

    def __init__(self, directory: Path, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._istiod = Istiod(directory, control_plane.server, debounce_milliseconds=_DEBOUNCE_MILLISECONDS)
        self._envoy = Gateway(
            directory,
            namespace=_GATEWAY_NAMESPACE,
            labels=_GATEWAY_LABELS,
            discovery_port=self._istiod.discovery_port,
        )

    @property
    def url(self) -> str:
        """Of the gateway; the Host header chooses the VirtualService."""
        return f"http://127.0.0.1:{self._envoy.port}"

    @property
    def port(self) -> int:
        """The gateway's."""
        return self._envoy.port

    @property
    def admin_url(self) -> str:
        """Of the gateway's Envoy, for its counters and its configuration."""
        return f"http://127.0.0.1:{self._envoy.admin_port}"

    @property
    def discovery_port(self) -> int:
        """istiod's, where further proxies ask (ADS, plain gRPC)."""
        return self._istiod.discovery_port

    def start(self, runner: Runner) -> None:
        """Register Istio's kinds and its webhook, then start istiod, the Gateway and its Envoy.

        Raises:
            MissingPartError: a part cannot run on this machine.
        """
        self._istiod.prepare()
        wait_for(self._register())
        runner.start(self._istiod)
        wait_for(self._open_gateway())
        runner.start(self._envoy)

    async def _register(self) -> None:
        async with self._control_plane.client() as api:
            await create(
                api,
                *map(namespace, (SYSTEM_NAMESPACE, _GATEWAY_NAMESPACE)),
                self._istiod.webhook(),
                *self._istiod.definitions(),
            )

    async def _open_gateway(self) -> None:
        async with self._control_plane.client() as api:
            async with asyncio.timeout(_CLOSED_WITHIN_SECONDS):
                while not await _refuses_without_istiod(api):  # noqa: ASYNC110 - it is asked, it does not tell
                    await asyncio.sleep(0.05)
            await CustomObjectsApi(api).create_namespaced_custom_object(
                "networking.istio.io", "v1", _GATEWAY_NAMESPACE, "gateways", self._gateway()
            )

    def _gateway(self) -> Manifest:
        server = {
            "bind": "127.0.0.1",
            "port": {"number": self._envoy.port, "name": "http", "protocol": "HTTP"},
            "hosts": ["*"],
        }
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": _GATEWAY_NAME},
            "spec": {"selector": _GATEWAY_LABELS, "servers": [server]},
        }


async def _refuses_without_istiod(api: ApiClient) -> bool:
    """Whether istiod has closed its webhook: from then on it is asked about every object."""
    found = await AdmissionregistrationV1Api(api).read_validating_webhook_configuration(WEBHOOK)
    return all(each.failure_policy == "Fail" for each in found.webhooks)

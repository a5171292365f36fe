"""Istio with one gateway, as an operator's cluster has it before So1s comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kubernetes_asyncio.client import (
    AdmissionregistrationV1Api,
    ApiClient,
    AuthenticationV1TokenRequest,
    CoreV1Api,
    CustomObjectsApi,
    V1TokenRequestSpec,
)

from so1s.blocking import wait_for
from so1s_lab import ingress
from so1s_lab.control_plane import ControlPlane
from so1s_lab.gateway import Gateway, Proxy
from so1s_lab.istiod import AUDIENCE, SYSTEM_NAMESPACE, WEBHOOK, Istiod
from so1s_lab.manifests import create, namespace
from so1s_lab.runner import Runner

DOMAIN = "so1s.localhost"
"""Each endpoint's host is one label below it."""
_DEBOUNCE_MILLISECONDS = 10
_TOKEN_SECONDS = 7 * 24 * 3600
"""It is asked for on each connection; a lab runs for days at most."""
_CLOSED_WITHIN_SECONDS = 30.0


class Istio:
    """istiod and an Envoy behind one Istio Gateway for every host; started by `start`."""

    gateway = f"{ingress.NAMESPACE}/{ingress.NAME}"
    """The Istio Gateway, as a VirtualService names it."""
    gateway_namespace = ingress.NAMESPACE
    gateway_labels = ingress.LABELS
    """Of the Envoy, for a Gateway of one's own."""
    credential = ingress.CREDENTIAL
    """The Secret, in the gateway's namespace, of the certificate for the hosts below `domain`."""
    domain = DOMAIN

    def __init__(self, directory: Path, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._istiod = Istiod(directory, control_plane.server, debounce_milliseconds=_DEBOUNCE_MILLISECONDS)
        self._token_file = directory / "gateway.token"
        self._envoy = Gateway(
            directory,
            self.proxy(ingress.LABELS),
            discovery_port=self._istiod.discovery_port,
            ca_file=self.ca_file,
        )

    @property
    def url(self) -> str:
        """Of the gateway; the Host header chooses the VirtualService."""
        return f"http://127.0.0.1:{self._envoy.port}"

    @property
    def port(self) -> int:
        """The gateway's, for plain HTTP."""
        return self._envoy.port

    @property
    def tls_port(self) -> int:
        """The gateway's, for HTTPS."""
        return self._envoy.tls_port

    @property
    def ca_file(self) -> Path:
        """Verifies the gateway's certificate."""
        return self._control_plane.server.authority.certificate

    @property
    def admin_url(self) -> str:
        """Of the gateway's Envoy, for its counters and its configuration."""
        return f"http://127.0.0.1:{self._envoy.admin_port}"

    @property
    def discovery_port(self) -> int:
        """istiod's, where further proxies ask (ADS over TLS, with the token of their service account)."""
        return self._istiod.discovery_port

    def proxy(self, labels: dict[str, str]) -> Proxy:
        """Who a further gateway is, with the account of this one; it is there once that is started."""
        return Proxy(ingress.NAMESPACE, ingress.SERVICE_ACCOUNT, labels, self._token_file)

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
                *map(namespace, (SYSTEM_NAMESPACE, ingress.NAMESPACE)),
                self._istiod.webhook(),
                *self._istiod.definitions(),
            )
            wildcard = self._control_plane.server.authority.server("gateway", f"*.{DOMAIN}")
            await create(api, *ingress.account(), ingress.certificate(wildcard))
            await self._write_token(CoreV1Api(api))

    async def _write_token(self, core: CoreV1Api) -> None:
        """What a pod of the gateway's would find in its file system."""
        asked = AuthenticationV1TokenRequest(
            spec=V1TokenRequestSpec(audiences=[AUDIENCE], expiration_seconds=_TOKEN_SECONDS)
        )
        given = await core.create_namespaced_service_account_token(
            ingress.SERVICE_ACCOUNT, ingress.NAMESPACE, asked
        )
        self._token_file.touch(mode=0o600)
        self._token_file.write_text(given.status.token)

    async def _open_gateway(self) -> None:
        async with self._control_plane.client() as api:
            async with asyncio.timeout(_CLOSED_WITHIN_SECONDS):
                while not await _refuses_without_istiod(api):  # noqa: ASYNC110 - it is asked, it does not tell
                    await asyncio.sleep(0.05)
            await CustomObjectsApi(api).create_namespaced_custom_object(
                "networking.istio.io",
                "v1",
                ingress.NAMESPACE,
                "gateways",
                ingress.gateway(port=self.port, tls_port=self.tls_port),
            )


async def _refuses_without_istiod(api: ApiClient) -> bool:
    """Whether istiod has closed its webhook: from then on it is asked about every object."""
    found = await AdmissionregistrationV1Api(api).read_validating_webhook_configuration(WEBHOOK)
    return all(each.failure_policy == "Fail" for each in found.webhooks)

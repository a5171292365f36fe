import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from kubernetes_asyncio.client import ApiException, CustomObjectsApi

from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio

REVISION_PATH = "/.well-known/so1s/revision"


@contextlib.asynccontextmanager
async def _answering(text: str) -> AsyncGenerator[int]:
    """The port of a server that answers every request with a text, and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


class Endpoint:
    """A host with the variants a and b, and its callers."""

    def __init__(
        self, objects: CustomObjectsApi, http: httpx.AsyncClient, namespace: str, istio: Istio
    ) -> None:
        self.host = f"{namespace}.so1s.localhost"
        self._objects = objects
        self._http = http
        self._namespace = namespace
        self._gateway = istio.gateway
        self._admin_url = istio.admin_url

    async def ask(self, path: str = "/") -> str:
        """What is answered; empty where the gateway has no route."""
        answer = await self._http.get(path, headers={"host": self.host})
        return answer.text if answer.is_success else ""

    async def answers(self, count: int) -> Counter[str]:
        """How often each variant answers."""
        return Counter([await self.ask() for _ in range(count)])

    async def add_variant(self, name: str, port: int) -> None:
        """Istio learns of a server."""
        endpoint = {"address": "127.0.0.1", "ports": {"http": port}}
        spec = {
            "hosts": [self._variant(name)],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "resolution": "STATIC",
            "endpoints": [endpoint],
        }
        await self._create("ServiceEntry", "serviceentries", name, spec)

    async def route(self, revision: int, weights: dict[str, int]) -> None:
        """Make the endpoint's route."""
        await self._create("VirtualService", "virtualservices", "endpoint", self._routes(revision, weights))

    async def reroute(self, revision: int, weights: dict[str, int]) -> None:
        """Change it."""
        await self._objects.patch_namespaced_custom_object(
            "networking.istio.io",
            "v1",
            self._namespace,
            "virtualservices",
            "endpoint",
            {"spec": self._routes(revision, weights)},
            _content_type="application/merge-patch+json",
        )

    async def serves(self, revision: int) -> bool:
        """Whether the gateway acknowledges a revision."""
        return await self.ask(REVISION_PATH) == str(revision)

    async def knows(self, name: str) -> bool:
        """Whether the gateway would send requests to a variant: routes do not wait until it does."""
        clusters = (await self._http.get(f"{self._admin_url}/clusters")).text
        cluster = f"outbound|80||{self._variant(name)}::"
        lines = [line for line in clusters.splitlines() if line.startswith(cluster)]
        return any(line.endswith("::health_flags::healthy") for line in lines)

    def _routes(self, revision: int, weights: dict[str, int]) -> dict[str, Any]:
        acknowledgement = {
            "match": [{"uri": {"exact": REVISION_PATH}}],
            "directResponse": {"status": 200, "body": {"string": str(revision)}},
        }
        arms = [
            {"destination": {"host": self._variant(name)}, "weight": weight}
            for name, weight in weights.items()
        ]
        return {"hosts": [self.host], "gateways": [self._gateway], "http": [acknowledgement, {"route": arms}]}

    def _variant(self, name: str) -> str:
        return f"{name}.{self.host}"

    async def _create(self, kind: str, plural: str, name: str, spec: dict[str, Any]) -> None:
        made = {
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        await self._objects.create_namespaced_custom_object(
            "networking.istio.io", "v1", self._namespace, plural, made, field_validation="Strict"
        )


@pytest.fixture
async def endpoint(
    kubernetes: ControlPlane, istio: Istio, namespace: str, eventually
) -> AsyncGenerator[Endpoint]:
    async with (
        _answering("a") as a,
        _answering("b") as b,
        kubernetes.client() as api,
        httpx.AsyncClient(base_url=istio.url, trust_env=False) as http,
    ):
        made = Endpoint(CustomObjectsApi(api), http, namespace, istio)
        for name, port in (("a", a), ("b", b)):
            await made.add_variant(name, port)
            await eventually(lambda: made.knows(name))  # noqa: B023 - it is waited for
        yield made


async def test_istiod_refuses_a_weight_below_zero(endpoint: Endpoint) -> None:
    with pytest.raises(ApiException, match="configuration is invalid: weight -5") as refused:
        await endpoint.route(1, {"a": 105, "b": -5})
    assert refused.value.status == 400


async def test_a_weighted_route_serves_in_its_proportion(endpoint: Endpoint, eventually) -> None:
    await endpoint.route(1, {"a": 70, "b": 30})
    await eventually(lambda: endpoint.serves(1))
    answers = await endpoint.answers(300)
    assert answers.total() == answers["a"] + answers["b"] == 300
    assert answers["a"] == pytest.approx(210, abs=50)  # six standard deviations


async def test_once_a_revision_is_acknowledged_every_request_follows_it(
    endpoint: Endpoint, eventually
) -> None:
    await endpoint.route(1, {"a": 100, "b": 0})
    await eventually(lambda: endpoint.serves(1))
    for revision, (serving, idle) in enumerate([("b", "a"), ("a", "b")] * 5, start=2):
        await endpoint.reroute(revision, {serving: 100, idle: 0})
        await eventually(lambda: endpoint.serves(revision))  # noqa: B023 - it is waited for
        assert await endpoint.answers(3) == {serving: 3}


async def test_the_gateway_bears_the_certificate_of_the_wildcard_host(
    endpoint: Endpoint, istio: Istio, eventually
) -> None:
    await endpoint.route(1, {"a": 100, "b": 0})
    await eventually(lambda: endpoint.serves(1))
    verified = ssl.create_default_context(cafile=istio.ca_file)
    async with httpx.AsyncClient(verify=verified, trust_env=False) as https:
        answer = await https.get(
            f"https://127.0.0.1:{istio.tls_port}/",
            headers={"host": endpoint.host},
            extensions={"sni_hostname": endpoint.host},
        )
    assert answer.text == "a"

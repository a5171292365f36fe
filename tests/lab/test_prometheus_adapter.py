"""Autoscalers see what Prometheus sees, under the names that the deployer asks for."""

import threading
from collections.abc import AsyncGenerator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import pytest
from kubernetes_asyncio.client import ApiException, CoreV1Api, CustomObjectsApi

METRIC = "so1s_requests_per_second"


class Exporter:
    """Says one figure of some pods; a context manager."""

    def __init__(self, namespace: str) -> None:
        self.figures: dict[str, float] = {}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [
                    f'{METRIC}{{namespace="{namespace}",pod="{pod}"}} {figure}\n'
                    for pod, figure in exporter.figures.items()
                ]
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write("".join(lines).encode())

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self.address = f"127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def exporter(namespace, prometheus) -> Iterator[Exporter]:
    with Exporter(namespace) as exporter:
        prometheus.scrape("figures", exporter.address)
        yield exporter
        prometheus.scrape("figures")


@pytest.fixture
async def api(kubernetes, prometheus_adapter) -> AsyncGenerator:
    async with kubernetes.client() as api:
        yield api


async def test_a_figure_of_a_pod_is_asked_for_by_its_name(api, namespace, exporter, eventually):
    exporter.figures["fraud-1"] = 7.5
    core = CoreV1Api(api)
    container = {"name": "server", "image": "example.org/server:1"}
    pod = {"metadata": {"name": "fraud-1"}, "spec": {"containers": [container]}}
    await core.create_namespaced_pod(namespace, pod)

    async def is_served() -> bool:
        found = await _figures(api, namespace)
        return found == {"fraud-1": "7500m"}

    await eventually(is_served)


async def _figures(api, namespace: str) -> dict[str, str]:
    try:
        found = await CustomObjectsApi(api).get_namespaced_custom_object(
            "custom.metrics.k8s.io", "v1beta1", namespace, "pods", f"*/{METRIC}"
        )
    except ApiException:  # it is not served yet
        return {}
    return {each["describedObject"]["name"]: each["value"] for each in found["items"]}

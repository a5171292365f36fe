"""How gateways are found and asked."""

import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import trustme

from services.router.adapters.istio.endpoints import addresses
from services.router.adapters.istio.gateways import Probe
from services.router.adapters.mesh_envoy import EnvoyMesh
from services.router.settings import Settings

HOST = "fraud--risk.so1s.localhost"


def slice_of(*endpoints: dict, port: int = 8443, name: str = "https") -> dict:
    return {
        "endpoints": list(endpoints),
        "ports": [{"name": "status-port", "port": 1}, {"name": name, "port": port}],
    }


def endpoint(address: str, **conditions: bool) -> dict:
    return {"addresses": [address], "conditions": conditions}


def test_the_gateways_are_the_ready_pods_of_the_service_at_the_port_of_the_name():
    found = [
        slice_of(endpoint("10.0.0.2", ready=True), endpoint("10.0.0.1"), endpoint("10.0.0.3", ready=False)),
        slice_of(endpoint("fd00::1", ready=True), port=9443),
        slice_of(endpoint("10.0.0.9", ready=True), name="http2"),
        {"endpoints": None, "ports": None},
    ]
    assert addresses(found, "https") == ["10.0.0.1:8443", "10.0.0.2:8443", "[fd00::1]:9443"]


class _Gateway(BaseHTTPRequestHandler):
    """Answers its revision to the one host that it knows."""

    def do_GET(self):
        body = json.dumps({"revision": 7}).encode()
        self.send_response(200 if self.headers["host"] == HOST else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


def serving(server: HTTPServer) -> Iterator[str]:
    """The address of a server while it runs."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a gateway with a wildcard certificate, and the file of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("*.so1s.localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = HTTPServer(("127.0.0.1", 0), _Gateway)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    for address in serving(server):
        yield address, tmp_path / "ca.pem"


async def test_a_gateway_with_a_certificate_is_asked_as_the_host_and_verified(secure):
    address, ca_file = secure
    trusting = ssl.create_default_context(cafile=ca_file)
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
        assert await Probe(http, "https").revisions([address], HOST) == [7]
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
        assert await Probe(http, "https").revisions([address], "fraud.example") == [None]
    async with httpx.AsyncClient(trust_env=False) as stranger:
        assert await Probe(stranger, "https").revisions([address], HOST) == [None]


@pytest.fixture
def strange(request) -> Iterator[str]:
    """The address of what answers 200 to everybody, with a body that no gateway has."""

    class Strange(_Gateway):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(request.param)))
            self.end_headers()
            self.wfile.write(request.param)

    yield from serving(HTTPServer(("127.0.0.1", 0), Strange))


@pytest.mark.parametrize("strange", [b"<html>", b"\xff", b"{}", b"[7]", b"null", b""], indirect=True)
async def test_something_else_that_answers_in_a_gateways_place_serves_no_revision(strange, tmp_path):
    host, port = strange.split(":")
    async with httpx.AsyncClient(trust_env=False) as http:
        assert await Probe(http, "http").revisions([strange], HOST) == [None]
        mesh = EnvoyMesh(
            http,
            directory=tmp_path,
            gateway=(host, int(port)),
            admin_port=1,
            request_timeout_seconds=1,
            health_wait_seconds=1,
        )
        assert await mesh.served(HOST) == [None]


async def test_a_gateway_that_is_away_counts_as_one_that_does_not_serve(secure):
    address, ca_file = secure
    trusting = ssl.create_default_context(cafile=ca_file)
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
        assert await Probe(http, "https").revisions(["127.0.0.1:1", address], HOST) == [None, 7]


def test_gateways_with_a_certificate_of_ours_are_asked_by_https():
    def scheme(**given) -> str:
        return Settings(database_url="sqlite+aiosqlite://", **given).probe_scheme

    assert scheme() == "http"
    assert scheme(istio_credential="wildcard") == "https"
    assert scheme(istio_credential="wildcard", istio_probe_scheme="http") == "http"

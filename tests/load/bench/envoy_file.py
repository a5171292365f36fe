"""Envoy alone: how long a route takes from a file's move to an answer."""

import itertools
import time
from pathlib import Path

import httpx

from services.router.adapters.envoy_clusters import CLUSTER_TYPE
from services.router.adapters.envoy_files import write_json, write_resources
from services.router.adapters.envoy_gateway import LISTENER_TYPE, GatewayFiles, bootstrap, listener
from services.router.adapters.envoy_routes import (
    REVISION_PATH,
    ROUTES_TYPE,
    route_configuration,
    virtual_host,
)
from services.router.domain.route import Route
from tests.router.gateway import Envoy, free_ports

HOST = "bench--risk.so1s.localhost"


class BareEnvoy:
    """An Envoy that is configured like the router's, by nobody but its caller."""

    def __init__(self, directory: Path) -> None:
        self._files = GatewayFiles(directory)
        admin, self._port = free_ports(2)
        write_json(self._files.bootstrap, bootstrap(self._files, admin))
        write_resources(self._files.clusters, CLUSTER_TYPE, [])
        self._revisions = itertools.count(1)
        self.move()
        write_resources(
            self._files.listeners, LISTENER_TYPE, [listener(self._files, "127.0.0.1", self._port)]
        )
        self._envoy = Envoy(self._files.bootstrap, directory / "envoy.log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def move(self) -> int:
        """Move a new route to Envoy; answers its revision."""
        revision = next(self._revisions)
        host = virtual_host(Route("risk", "bench", HOST, revision, ()), 1)
        write_resources(self._files.routes, ROUTES_TYPE, [route_configuration([host])])
        return revision

    def stop(self) -> None:
        self._envoy.stop()


def wait_for_revision(http: httpx.Client, url: str, host: str, revision: int, seconds: float = 20) -> None:
    """Return once a gateway answers with a route's revision, or a later one."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = http.get(url + REVISION_PATH, headers={"host": host})
            if answer.is_success and answer.json()["revision"] >= revision:
                return
        except httpx.TransportError:
            pass  # it starts
        assert time.monotonic() < deadline, f"{host} does not answer revision {revision}"
        time.sleep(0.001)

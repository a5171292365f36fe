"""The mesh of one machine: an Envoy that follows files.

Files, all under `directory`: `bootstrap.json` (Envoy starts with it), `lds.json`, `cds.json` and
`rds.json`. Each variant is the cluster `ACCOUNT--DEPLOYMENT`, and another one for gRPC, whose endpoints
Envoy reads from the file that `DeploymentReady.service` names: scaling and rolling need nothing of the
router.

Statistics, at `/stats/prometheus` of the admin interface, each with the label
`envoy_cluster_name="ACCOUNT--DEPLOYMENT"`:

- `envoy_cluster_upstream_rq_xx{envoy_response_code_class="2"…"5"}`: answers that callers got; an
  attempt that was tried again counts in `envoy_cluster_retry_upstream_rq_xx` alone. 5 includes the
  gateway's own 503 and 504, so the sum is the requests and class 5 the errors.
- `envoy_cluster_upstream_rq_time_bucket|_sum|_count` (milliseconds): the replicas' answers; merged
  every second; buckets as `LATENCY_BUCKETS_MS`.
- `envoy_cluster_membership_total`, `envoy_cluster_membership_healthy`: replicas known and healthy.
- `envoy_cluster_outlier_detection_ejections_active`: replicas left alone after failures.

The counters of a cluster start at 0 when Envoy starts, and when its variant is attached anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from services.router.adapters.envoy_admin import EnvoyAdmin
from services.router.adapters.envoy_clusters import CLUSTER_TYPE, cluster_name, clusters, endpoint_file
from services.router.adapters.envoy_files import (
    Resource,
    read_resources,
    without_type,
    write_json,
    write_resources,
)
from services.router.adapters.envoy_gateway import (
    LISTENER_TYPE,
    ROUTES_NAME,
    GatewayFiles,
    bootstrap,
    listener,
)
from services.router.adapters.envoy_routes import (
    OTHER_HOSTS,
    REVISION_PATH,
    ROUTES_TYPE,
    clusters_of,
    route_configuration,
    virtual_host,
    virtual_host_name,
)
from services.router.adapters.served_revision import served_revision
from services.router.domain.route import Route
from services.router.ports import Failure

_Hosts = dict[str, Resource]
"""Virtual hosts by name."""


class EnvoyMesh:
    """Drives one Envoy.

    Args:
        http: to reach the gateway and its admin interface.
        directory: of Envoy's files.
        gateway: address and port of the listener.
        admin_port: of Envoy's admin interface on 127.0.0.1.
        request_timeout_seconds: how long a caller waits at most, retries included.
        health_wait_seconds: how long a host keeps its former route while the next one's replicas
            fail their checks; after that a route to none is better than a wrong one.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        directory: Path,
        gateway: tuple[str, int],
        admin_port: int,
        request_timeout_seconds: float,
        health_wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self.files = GatewayFiles(directory)
        self._gateway = gateway
        self._admin_port = admin_port
        self._admin = EnvoyAdmin(http, f"http://127.0.0.1:{admin_port}")
        self._timeout_seconds = request_timeout_seconds
        self._health_wait_seconds = health_wait_seconds
        self._clock = clock
        self._waiting_since: dict[str, float] = {}
        self._told: set[str] = set()
        self._strangers: _Hosts = {}

    async def apply(self, routes: Sequence[Route], *, keep_strangers: bool = False) -> Sequence[str]:
        """Write the files: clusters first, a host's route once its new clusters can take traffic."""
        wanted = {virtual_host_name(route): virtual_host(route, self._timeout_seconds) for route in routes}
        present = await asyncio.to_thread(self._prepare, routes)
        self._told |= wanted.keys()
        strange = {name: host for name, host in present.items() if name not in self._told}
        self._strangers = strange if keep_strangers else {}
        able = await self._able({name: _fresh(host, present.get(name)) for name, host in wanted.items()})
        following = {name: host if name in able else present.get(name) for name, host in wanted.items()}
        kept = [host for host in (*following.values(), *self._strangers.values()) if host]
        await asyncio.to_thread(self._write_hosts, kept)
        return sorted(_host(change) for change in _changes(wanted | self._strangers, present))

    async def served(self, host: str) -> Sequence[int | None]:
        """Ask the one gateway."""
        address, port = self._gateway
        return [await served_revision(self._http, f"http://{address}:{port}{REVISION_PATH}", host)]

    def failures(self) -> Mapping[str, Failure]:
        """None: Envoy takes every route that these files can say."""
        return {}

    def strangers(self) -> Sequence[str]:
        """The hosts that no call told of, and that stay."""
        return sorted(map(_host, self._strangers.values()))

    def _prepare(self, routes: Sequence[Route]) -> _Hosts:
        """Write all files but the routes', and answer the virtual hosts that are in force."""
        write_json(self.files.bootstrap, bootstrap(self.files, self._admin_port))
        write_resources(self.files.listeners, LISTENER_TYPE, [listener(self.files, *self._gateway)])
        present = self._read_hosts()
        self._write_clusters(routes, present)
        if not self.files.routes.exists():
            self._write_hosts([])  # Envoy refuses a listener whose routes' file is absent
        return present

    def _write_clusters(self, routes: Sequence[Route], present: _Hosts) -> None:
        """The routes' clusters, and those that the gateway still sends traffic to."""
        arms = [(cluster_name(route.account, arm.variant), arm) for route in routes for arm in route.arms]
        found = [clusters(name, path) for name, arm in arms if (path := endpoint_file(arm))]
        wanted = {each["name"]: each for pair in found for each in pair}
        in_use = set().union(*map(clusters_of, present.values()))
        known = read_resources(self.files.clusters)
        kept = {name: without_type(known[name]) for name in in_use & known.keys()}
        resources = [resource for _, resource in sorted((kept | wanted).items())]
        write_resources(self.files.clusters, CLUSTER_TYPE, resources)

    async def _able(self, fresh: dict[str, set[str]]) -> set[str]:
        """The virtual hosts whose fresh clusters can all take traffic."""
        names: set[str] = set().union(*fresh.values())
        healthy = await self._admin.healthy_hosts() if names else {}
        now = self._clock()
        self._waiting_since = {name: self._waiting_since.get(name, now) for name in names & healthy.keys()}
        late = {n for n, since in self._waiting_since.items() if now - since >= self._health_wait_seconds}
        able = late | {name for name, hosts in healthy.items() if hosts}
        return {host for host, clusters in fresh.items() if clusters <= able}

    def _read_hosts(self) -> _Hosts:
        routes = read_resources(self.files.routes).get(ROUTES_NAME, {})
        hosts = {host.get("name"): host for host in routes.get("virtual_hosts", [])}
        return {name: host for name, host in hosts.items() if name and name != OTHER_HOSTS}

    def _write_hosts(self, hosts: Sequence[Resource]) -> None:
        write_resources(self.files.routes, ROUTES_TYPE, [route_configuration(hosts)])


def _fresh(host: Resource, before: Resource | None) -> set[str]:
    """The clusters that a virtual host sends traffic to, and the one before did not."""
    return clusters_of(host) - clusters_of(before or {})


def _changes(wanted: _Hosts, present: _Hosts) -> list[Resource]:
    names = wanted.keys() | present.keys()
    return [wanted.get(n) or present[n] for n in names if wanted.get(n) != present.get(n)]


def _host(host: Resource) -> str:
    return host["domains"][0]

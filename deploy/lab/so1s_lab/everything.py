"""All parts together, for people."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from so1s_lab import (
    apiserver,
    containerd,
    controllers,
    cosign,
    etcd,
    helm,
    istiod,
    keda,
    kwok,
    metrics_server,
    prometheus_adapter,
    s3,
    scheduler,
)
from so1s_lab.control_plane import ControlPlane
from so1s_lab.istio import Istio
from so1s_lab.kafka import Kafka
from so1s_lab.kubernetes import kubernetes_program
from so1s_lab.node import Node
from so1s_lab.nodes import Pool
from so1s_lab.part import MissingPartError
from so1s_lab.postgres import Postgres
from so1s_lab.prometheus import Prometheus
from so1s_lab.registry import Registry
from so1s_lab.runner import Runner
from so1s_lab.s3 import S3

PROGRAMS = (
    etcd.PROGRAM,
    apiserver.PROGRAM,
    controllers.PROGRAM,
    scheduler.PROGRAM,
    kwok.PROGRAM,
    istiod.PROGRAM,
    prometheus_adapter.PROGRAM,
    metrics_server.PROGRAM,
    s3.PROGRAM,
    kubernetes_program("kubectl"),
    kubernetes_program("kubelet"),
)
"""Those whose first build takes long."""
EXTRA = {
    "cosign": (cosign.PROGRAM,),
    "containerd": containerd.PROGRAMS,
    "helm": (helm.PROGRAM,),
    "keda": (keda.OPERATOR, keda.METRICS_SERVER),
}
"""Those that some tests alone run."""
HEADERS = {"containerd": containerd.HEADERS}
"""Debian's packages that these are built with."""


@dataclass
class Addresses:
    """Where everything is."""

    shown: dict[str, str] = field(default_factory=dict)
    """What a person reads: no secret is in it."""
    variables: dict[str, str] = field(default_factory=dict)
    """What their programs need, secrets too, by the names that they read themselves where there are any."""

    def write(self, path: Path) -> None:
        """Write the variables as a file that a shell sources and that nobody else may read."""
        path.touch(mode=0o600)
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in self.variables.items()]
        path.write_text("".join(lines))


class Everything:
    """Starts one part after another; what is missing on this machine is told and left out."""

    def __init__(self, runner: Runner, *, missing: Callable[[str], None]) -> None:
        self.addresses = Addresses()
        self._runner = runner
        self._missing = missing

    def start(self) -> None:
        """Start all parts that this machine can run."""
        with self._left_out_where_missing():
            self._cluster()
        for start in (self._kafka, self._s3, self._registry, self._postgres, self._prometheus):
            with self._left_out_where_missing():
                start()

    @contextmanager
    def _left_out_where_missing(self) -> Generator[None]:
        try:
            yield
        except MissingPartError as missing:
            self._missing(str(missing))

    def _cluster(self) -> None:
        kubectl = kubernetes_program("kubectl").build()
        control_plane = ControlPlane(self._runner.directory("kubernetes"))
        control_plane.start(self._runner)
        self._say("Kubernetes", f"{control_plane.url}   {kubectl}", KUBECONFIG=str(control_plane.kubeconfig))
        with self._left_out_where_missing():
            node = Node(self._runner.directory("node"), control_plane)
            self._runner.start(node)
            self._say("real node", f"{node.node_name}; pods need {_written(node.pool)}")
        istio = Istio(self._runner.directory("istio"), control_plane)
        istio.start(self._runner)
        self._say("Istio", f"{istio.url} is Gateway {istio.gateway}", SO1S_GATEWAY=istio.url)

    def _kafka(self) -> None:
        kafka = Kafka(self._runner.directory("kafka"))
        self._runner.start(kafka)
        self._say("Kafka", kafka.bootstrap_servers, SO1S_KAFKA=kafka.bootstrap_servers)

    def _s3(self) -> None:
        store = S3(self._runner.directory("s3"))
        self._runner.start(store)
        self._say(
            "S3",
            store.endpoint,
            AWS_ENDPOINT_URL=store.endpoint,
            AWS_ACCESS_KEY_ID=store.access_key,
            AWS_SECRET_ACCESS_KEY=store.secret_key,
            AWS_REGION=store.region,
        )

    def _registry(self) -> None:
        registry = Registry(self._runner.directory("registry"))
        self._runner.start(registry)
        self._say(
            "registry",
            registry.url,
            REGISTRY=registry.host,
            REGISTRY_USERNAME=registry.username,
            REGISTRY_PASSWORD=registry.password,
        )

    def _postgres(self) -> None:
        postgres = Postgres(self._runner.directory("postgres"))
        self._runner.start(postgres)
        shown = postgres.url.replace(postgres.password, "…")
        self._say("PostgreSQL", shown, DATABASE_URL=postgres.url)

    def _prometheus(self) -> None:
        prometheus = Prometheus(self._runner.directory("prometheus"))
        self._runner.start(prometheus)
        self._say("Prometheus", prometheus.url, PROMETHEUS_URL=prometheus.url)

    def _say(self, part: str, address: str, **variables: str) -> None:
        self.addresses.shown[part] = address
        self.addresses.variables |= variables


def _written(pool: Pool) -> str:
    """What a person writes into a pod to have it run on the nodes of a pool."""
    ((label, value),) = pool.selector.items()
    return f"nodeSelector {label}={value} and the same toleration"

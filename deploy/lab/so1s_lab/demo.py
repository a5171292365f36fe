"""`python -m so1s_lab.demo`: the demo on a cluster, with a real node, Istio, Kafka, S3 and a registry."""

from __future__ import annotations

import asyncio
import shutil
import sys
from functools import partial
from pathlib import Path

import httpx
import psutil
from rich.console import Console

from so1s.blocking import wait_for
from so1s.errors import So1sError
from so1s.kubernetes import connect
from so1s.kubernetes.paths import path
from so1s_lab import LAB_DIR
from so1s_lab.base_image import push_base
from so1s_lab.control_plane import ControlPlane
from so1s_lab.discovery import PodDiscovery, jobs
from so1s_lab.installation import Installation, Parts
from so1s_lab.istio import Istio
from so1s_lab.kafka import Kafka
from so1s_lab.node import Node
from so1s_lab.part import MissingPartError
from so1s_lab.platform import ClusterPlan
from so1s_lab.postgres import Postgres
from so1s_lab.prometheus import Prometheus
from so1s_lab.registry import Registry
from so1s_lab.runner import PartNotReadyError, Runner, Started
from so1s_lab.s3 import S3
from so1s_local.demo.stage import Stage, StepFailed
from so1s_local.demo.story import tell
from so1s_local.interrupt import until_interrupted
from so1s_local.settings import load
from so1s_local.supervisor import PlatformRunsError

_WINDOW_SECONDS = 5
"""A cluster's Prometheus needs some scrapes of a window."""
_WIDTH = 100
_START_CLUSTER = "Start Kubernetes with a real node, Istio, Kafka, S3, a registry, PostgreSQL, Prometheus"
_START = "Start seven services and a local Slack, each its own process"
_EXPECTED = (
    StepFailed,
    MissingPartError,
    PartNotReadyError,
    PlatformRunsError,
    So1sError,
    TimeoutError,
    httpx.HTTPError,
    LookupError,
)


def run(stage: Stage, state: Path) -> None:
    """Start a cluster, tell the story on it, and stop it."""

    def progress(part: Started) -> None:
        stage.started(f"{part.part.name} {part.part.version}", part.seconds)

    with Runner(LAB_DIR / "run" / "demo", progress=progress) as runner:
        with stage.step(_START_CLUSTER):
            installation = Installation("demo", start(runner))
            wait_for(installation.prepare())
        settings = load().model_copy(update={"account": "clinic", "window_seconds": _WINDOW_SECONDS})
        plan = ClusterPlan(settings, state, installation.world)
        find = partial(replica_process, installation)
        asyncio.run(until_interrupted(tell(plan, stage, _START, find)))


def start(runner: Runner) -> Parts:
    """Start all that an installation leans on.

    Raises:
        MissingPartError: a part cannot run on this machine.
    """
    kubernetes = ControlPlane(runner.directory("kubernetes"))
    kubernetes.start(runner)
    node = Node(runner.directory("node"), kubernetes)
    registry, kafka = Registry(runner.directory("registry")), Kafka(runner.directory("kafka"))
    s3, postgres = S3(runner.directory("s3")), Postgres(runner.directory("postgres"))
    runner.start(node, registry, kafka, s3, postgres)
    istio = Istio(runner.directory("istio"), kubernetes)
    istio.start(runner)
    pods = PodDiscovery(runner.directory("prometheus"), kubernetes)
    runner.start(pods)
    found = jobs(kubernetes, node, istio, pods.targets)
    prometheus = Prometheus(runner.directory("prometheus"), jobs=found)
    runner.start(prometheus)
    return Parts(
        kafka=kafka.bootstrap_servers,
        postgres=postgres,
        s3=s3,
        registry=registry,
        base_image=wait_for(push_base(registry)),
        kubernetes=kubernetes,
        istio=istio,
        node=node,
        prometheus=prometheus,
    )


def replica_process(installation: Installation, deployment: str) -> psutil.Process:
    """The process of a deployment's replica; the node is this machine.

    Raises:
        LookupError: there is none.
    """
    pods = wait_for(_pods(installation, deployment))
    for process in psutil.process_iter(["cmdline"]):
        if "so1s_runtime" in (process.info["cmdline"] or []) and process.environ().get("HOSTNAME") in pods:
            return process
    raise LookupError(f"no replica of {deployment}")


async def _pods(installation: Installation, deployment: str) -> set[str]:
    selector = {"labelSelector": f"so1s.io/deployment={deployment}"}
    async with connect(installation.kubeconfig) as api:
        found = await api.read(path("v1", "Pod"), selector)
    return {pod["metadata"]["name"] for pod in found["items"]}


def main() -> int:
    """Run the demo; 0 only where everything was so."""
    width = None if sys.stdout.isatty() else _WIDTH
    stage = Stage(Console(highlight=False, width=width))
    state = LAB_DIR / "demo" / ".so1s"
    try:
        run(stage, state)
    except _EXPECTED as error:
        stage.say(f"\n[bold red]✗ {type(error).__name__}: {error}[/]\n  the logs are in {state / 'logs'}")
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        stage.say("\nstopped; nothing is left running")
        return 130
    shutil.rmtree(state, ignore_errors=True)
    stage.say(f"\n[green]everything verified in {stage.elapsed():.0f} s; nothing is left running[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the deployer applies scales a deployment: a real autoscaler on a real Prometheus and its adapter."""

from collections.abc import Iterator
from typing import Any

import pytest

from so1s.events import Resources, Scaling
from tests.deployer.conftest import deployment, until, workload
from tests.lab.installed import Kubernetes, cluster, machine  # noqa: F401 - fixtures
from tests.lab.stand_in_servers import Servers

# ruff: noqa: F811 - fixtures

QUICK = {"scale_up_window_seconds": 0, "scale_down_window_seconds": 3}
"""Else an autoscaler waits for five minutes before it scales down."""


@pytest.fixture
def servers(machine: Kubernetes, prometheus, prometheus_adapter) -> Iterator[Servers]:
    with Servers(machine.namespace, prometheus) as servers:
        yield servers


async def replicas(machine: Kubernetes, servers: Servers, count: int) -> None:
    """Wait until so many replicas are there, each with a server."""

    async def are_there() -> bool:
        servers.run(machine.names())
        return len(machine.names()) == count

    await until(are_there, seconds=120)


def autoscaler(machine: Kubernetes) -> dict[str, Any]:
    return machine.objects("HorizontalPodAutoscaler").get("fraud", {"spec": {}, "status": {}})


def state(machine: Kubernetes) -> dict[str, str]:
    """Whether the autoscaler can decide, and why not."""
    conditions = autoscaler(machine)["status"].get("conditions", [])
    return next((each for each in conditions if each["type"] == "ScalingActive"), {})


@pytest.mark.parametrize(
    ("target", "load"),
    [
        ({"latency_p90_ms": 50}, {"seconds": 0.18}),
        ({"latency_p99_ms": 50}, {"seconds": 0.18}),
        ({"concurrency": 2}, {"waiting": 8}),
    ],
    ids=lambda value: next(iter(value)),
)
async def test_a_deployment_grows_to_four_replicas_under_load_and_shrinks_to_one_after_it(
    cluster, machine: Kubernetes, servers: Servers, target: dict[str, float], load: dict[str, float]
):
    scaling = Scaling(max_replicas=4, **target, **QUICK)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    await replicas(machine, servers, 1)
    servers.load(**load)
    await replicas(machine, servers, 4)
    servers.load()
    await replicas(machine, servers, 1)


async def test_of_several_targets_the_one_that_asks_for_most_wins(
    cluster, machine: Kubernetes, servers: Servers
):
    targets = {"gpu_percent": 80, "requests_per_second": 1e6, "concurrency": 100, "latency_p90_ms": 1e4}
    scaling = Scaling(max_replicas=4, **targets, **QUICK)
    small = Resources(cpu_millicores=100, memory_mib=64, gpus=1)
    wanted = workload(machine.image("1"), "1", scaling=scaling, resources=small)
    await cluster.apply(deployment(wanted))
    servers.load(gpu_percent=240)
    await replicas(machine, servers, 3)

    async def all_are_read() -> bool:
        read = autoscaler(machine)["status"].get("currentMetrics") or []
        return len([each for each in read if each.get("pods")]) == len(targets)

    await until(all_are_read, seconds=60)


async def test_a_figure_that_cannot_be_read_forbids_to_scale_down(
    cluster, machine: Kubernetes, servers: Servers
):
    """As in Kubernetes, and on a laptop: what it would have asked for is not known."""
    scaling = Scaling(max_replicas=4, concurrency=2, cpu_percent=50, **QUICK)  # nothing serves CPU in the lab
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    servers.load(waiting=8)
    await replicas(machine, servers, 4)

    async def scales() -> bool:
        return state(machine).get("status") == "True"

    await until(scales)
    servers.load()

    async def gives_up() -> bool:
        return state(machine).get("reason") == "FailedGetResourceMetric"

    await until(gives_up, seconds=60)
    assert len(machine.names()) == 4


async def test_what_is_said_no_more_of_an_autoscaler_goes(cluster, machine: Kubernetes):
    said = Scaling(max_replicas=4, concurrency=2, latency_p90_ms=50, scale_up_replicas_per_minute=1)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=said)))

    async def is_said() -> bool:
        return len(autoscaler(machine)["spec"].get("metrics", [])) == 2

    await until(is_said)
    assert autoscaler(machine)["spec"]["behavior"]["scaleUp"]["policies"] == [
        {"type": "Pods", "value": 1, "periodSeconds": 60}
    ]
    less = Scaling(max_replicas=4, concurrency=2)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=less), revision=2))

    async def is_gone() -> bool:
        spec = autoscaler(machine)["spec"]
        return len(spec["metrics"]) == 1 and "behavior" not in spec

    await until(is_gone)

"""What the deployer asks of KEDA scales a deployment: a real operator on a real Prometheus.

By `make test-keda`, apart from the lab's other tests: KEDA takes as long to build as half of the lab.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from services.deployer.adapters.kubernetes.keda import Keda
from services.deployer.ports import Cluster
from so1s.events import Scaling
from tests.deployer.conftest import deployment, settled, until, workload
from tests.lab.installed import Kubernetes, machine  # noqa: F401 - fixture
from tests.lab.stand_in_servers import Servers
from tests.lab.test_autoscaling_hpa import QUICK, replicas
from tests.lab.test_autoscaling_keda import ALL, GPU

# ruff: noqa: F811 - fixtures

pytestmark = pytest.mark.keda


@pytest.fixture
def servers(machine: Kubernetes, prometheus) -> Iterator[Servers]:
    with Servers(machine.namespace, prometheus) as servers:
        yield servers


@pytest.fixture
async def cluster(machine: Kubernetes, keda, prometheus) -> AsyncGenerator[Cluster]:
    async with machine.cluster(keda=Keda(prometheus.url)) as entered:
        yield entered


async def kedas_autoscaler(machine: Kubernetes) -> dict[str, Any]:
    """What KEDA made; empty where there is none."""
    where = ("autoscaling/v2", "HorizontalPodAutoscaler", machine.namespace, "keda-hpa-fraud")
    return await machine.api.get(*where) or {}


async def test_kedas_autoscaler_has_every_target_and_limit(cluster, machine: Kubernetes):
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=ALL, resources=GPU)))
    await settled(cluster, ready=1)
    made = await until(lambda: kedas_autoscaler(machine))
    assert Counter(each["type"] for each in made["spec"]["metrics"]) == {"Resource": 1, "External": 5}
    behavior = made["spec"]["behavior"]
    assert behavior["scaleUp"]["policies"] == [{"type": "Pods", "value": 4, "periodSeconds": 60}]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 30


@pytest.mark.parametrize(
    ("target", "load"),
    [({"latency_p90_ms": 50}, {"seconds": 0.18}), ({"concurrency": 2}, {"waiting": 8})],
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


async def test_a_figure_that_cannot_be_read_is_no_reason_to_scale_down(
    cluster, machine: Kubernetes, servers: Servers
):
    scaling = Scaling(max_replicas=4, concurrency=2, **QUICK)
    await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=scaling)))
    servers.load(waiting=8)
    await replicas(machine, servers, 4)
    servers.run([])

    async def gives_up() -> bool:
        conditions = (await kedas_autoscaler(machine))["status"].get("conditions", [])
        return any(each.get("reason") == "FailedGetExternalMetric" for each in conditions)

    await until(gives_up)
    assert len(machine.names()) == 4


async def test_keda_takes_the_place_of_the_clusters_own_autoscaler_and_goes_with_the_last_target(
    machine: Kubernetes, keda, prometheus
):
    wanted = workload(machine.image("1"), "1", scaling=Scaling(max_replicas=4, concurrency=2))
    async with machine.cluster() as cluster:
        await cluster.apply(deployment(wanted))
        await until(lambda: has(machine, "HorizontalPodAutoscaler"))
    async with machine.cluster(keda=Keda(prometheus.url)) as cluster:
        await cluster.apply(deployment(wanted))
        await until(lambda: kedas_autoscaler(machine))
        assert "fraud" not in machine.objects("HorizontalPodAutoscaler")
        await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2), revision=2))
        await until(lambda: has(machine, "ScaledObject", count=0))
        await until(lambda: has(machine, "HorizontalPodAutoscaler", count=0))
        await settled(cluster, ready=2, revision=2)


async def has(machine: Kubernetes, kind: str, count: int = 1) -> bool:
    return len(machine.objects(kind)) == count

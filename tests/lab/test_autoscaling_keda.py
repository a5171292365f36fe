"""What the deployer asks of KEDA, held by the API server to KEDA's own schema.

KEDA itself runs in test_keda.py alone: it takes as long to build as half of the lab.
"""

import pytest

from services.deployer.adapters.kubernetes.keda import Keda
from so1s.errors import TemporaryError
from so1s.events import Resources, Scaling
from so1s.kubernetes import Refused
from so1s_lab.keda import definition
from tests.deployer.conftest import deployment, settled, until, workload
from tests.lab.installed import Kubernetes, machine  # noqa: F401 - fixture
from tests.lab.missing import skipped_where_missing

# ruff: noqa: F811 - fixtures

KEDA = Keda("http://prometheus.monitoring:9090", authentication="prometheus")
GPU = Resources(cpu_millicores=100, memory_mib=64, gpus=1)
ALL = Scaling(
    max_replicas=4,
    cpu_percent=70,
    gpu_percent=80,
    requests_per_second=10,
    concurrency=2,
    latency_p90_ms=50,
    latency_p99_ms=90,
    scale_up_window_seconds=0,
    scale_down_window_seconds=30,
    scale_up_replicas_per_minute=4,
    scale_down_replicas_per_minute=2,
)


@pytest.fixture
async def keda_kinds(machine: Kubernetes) -> None:
    with skipped_where_missing():
        scaled_objects = definition("keda.sh_scaledobjects")
    await machine.api.apply(scaled_objects, manager="tests")

    async def are_served() -> bool:
        try:
            await machine.api.read("/apis/keda.sh/v1alpha1/scaledobjects", {})
        except (Refused, TemporaryError):
            return False
        return True

    await until(are_served)


async def test_kedas_schema_takes_every_target_and_limit(machine: Kubernetes, keda_kinds):
    async with machine.cluster(keda=KEDA) as cluster:
        await cluster.apply(deployment(workload(machine.image("1"), "1", scaling=ALL, resources=GPU)))
        await settled(cluster, ready=1)
        await until(lambda: has(machine, "ScaledObject"))
        spec = machine.objects("ScaledObject")["fraud"]["spec"]
        assert [each["type"] for each in spec["triggers"]] == ["cpu", *["prometheus"] * 5]
        assert machine.objects("HorizontalPodAutoscaler") == {}


async def test_keda_takes_the_place_of_the_clusters_own_autoscaler(machine: Kubernetes, keda_kinds):
    wanted = workload(machine.image("1"), "1", scaling=Scaling(max_replicas=4, concurrency=2))
    async with machine.cluster() as cluster:
        await cluster.apply(deployment(wanted))
        await until(lambda: has(machine, "HorizontalPodAutoscaler"))
    async with machine.cluster(keda=KEDA) as cluster:
        await cluster.apply(deployment(wanted))
        await until(lambda: has(machine, "ScaledObject"))
        await until(lambda: has(machine, "HorizontalPodAutoscaler", count=0))
        await cluster.apply(deployment(workload(machine.image("1"), "1", replicas=2), revision=2))
        await until(lambda: has(machine, "ScaledObject", count=0))


async def has(machine: Kubernetes, kind: str, count: int = 1) -> bool:
    return len(machine.objects(kind)) == count

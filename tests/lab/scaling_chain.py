"""An uploaded model scales by its latency and its CPU: real pods, under load through Istio's gateway.

A scenario for the platform of `test_whole_chain.py`, which runs it: there is one real node, and one Kafka.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from so1s.blocking import wait_for
from so1s.kubernetes import connect
from so1s_lab.control_plane import ControlPlane
from so1s_lab.metrics_server import MetricsServer
from so1s_lab.prometheus import Prometheus
from so1s_lab.runner import Runner
from so1s_local.demo.load import Load
from tests.deployer.conftest import until
from tests.lab.cluster import InCluster
from tests.lab.slow_model import write_slow_model

QUICKLY = {"scale_up_window_seconds": 0, "scale_down_window_seconds": 5}
SLOW, QUICK = {"x": [600]}, {"x": [1]}
"""Bodies of requests: a fifth of a second of one core, and nothing."""
_PORT = 8080


Condition = Callable[[], Awaitable[bool]]


class Replicas:
    """The pods of a deployment, each told to Prometheus once it runs."""

    def __init__(self, pods: Mapping[Any, Mapping[str, Any]], prometheus: Prometheus) -> None:
        self._pods = pods
        self._prometheus = prometheus
        self._told: set[str] = set()

    def are(self, count: int) -> Condition:
        """Whether so many are there and all of them ready."""

        async def condition() -> bool:
            self._tell()
            return [_is_ready(pod) for pod in self._pods.values()] == [True] * count

        return condition

    def _tell(self) -> None:
        running = {pod["metadata"]["name"]: pod for pod in self._pods.values() if "podIP" in pod["status"]}
        for name in running.keys() - self._told:
            labels = {"namespace": running[name]["metadata"]["namespace"], "pod": name}
            self._prometheus.scrape(name, f"{running[name]['status']['podIP']}:{_PORT}", labels=labels)
        for name in self._told - running.keys():
            self._prometheus.scrape(name)
        self._told = set(running)


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def _answers_until(condition: Condition, url: str, gateway: str) -> Counter[int]:
    """The statuses of a few requests a second, until a condition holds."""
    answers: Counter[int] = Counter()

    async def holds() -> bool:
        answers[(await http.post("/predict", json=QUICK)).status_code] += 1
        return await condition()

    headers = {"host": urlsplit(url).netloc}
    async with httpx.AsyncClient(base_url=gateway, headers=headers, trust_env=False, timeout=10) as http:
        await until(holds, seconds=120)
    return answers


@pytest.fixture(scope="session")
def metrics_server(lab: Runner, kubernetes: ControlPlane, start) -> MetricsServer:
    """What pods use, as an autoscaler is told of it."""
    server = MetricsServer(lab.directory("metrics-server"), kubernetes)
    start(server)
    wait_for(server.register())
    return server


@pytest.fixture
def grows_and_shrinks(platform: InCluster, kubernetes: ControlPlane, prometheus: Prometheus, tmp_path):
    """Load a model until it has so many replicas, then leave it nearly alone until it has one again."""

    def check(model: str, scaling: dict[str, float]) -> None:
        path = write_slow_model(tmp_path / "slow.onnx")
        serving = platform.serve(model, path=path, deploy={"scaling": scaling | QUICKLY})
        platform.run(_load(serving.url, f"so1s.io/deployment={model}", scaling["max_replicas"]))

    async def _load(url: str, selector: str, most: int) -> None:
        async with (
            connect(kubernetes.kubeconfig) as api,
            api.mirror("v1", "Pod", label_selector=selector) as pods,
        ):
            replicas = Replicas(pods.objects, prometheus)
            await until(replicas.are(1))
            async with Load(url, platform.at.gateway, SLOW, clients=4) as load:
                await until(replicas.are(most), seconds=120)
                await load.answered(20)
            answers = await _answers_until(replicas.are(1), url, platform.at.gateway)
        assert load.failed == 0, load.tally
        assert set(answers) == {200}

    return check


def test_a_model_grows_to_four_replicas_by_its_latency_and_shrinks_to_one_and_no_request_fails(
    prometheus_adapter, grows_and_shrinks
):
    grows_and_shrinks("slow", {"max_replicas": 4, "latency_p90_ms": 150})


def test_a_model_grows_by_the_cpu_that_it_uses_and_no_request_fails(metrics_server, grows_and_shrinks):
    grows_and_shrinks("busy", {"max_replicas": 2, "cpu_percent": 400})

"""An uploaded model scales by its latency: pods of a real kubelet, under load through Istio's gateway.

A scenario for the platform of `test_whole_chain.py`, which runs it: there is one real node, and one Kafka.
"""

from collections.abc import Mapping
from typing import Any

from so1s.kubernetes import connect
from so1s_lab.prometheus import Prometheus
from so1s_local.demo.load import Load
from tests.deployer.conftest import until
from tests.lab.cluster import InCluster
from tests.lab.slow_model import write_slow_model

SCALING = {
    "max_replicas": 4,
    "latency_p90_ms": 150,
    "scale_up_window_seconds": 0,
    "scale_down_window_seconds": 5,
}
SLOW, QUICK = {"x": [600]}, {"x": [1]}
"""Bodies of requests: a fifth of a second of one core, and nothing."""
_PORT = 8080


class Replicas:
    """The pods of a deployment, each told to Prometheus once it runs."""

    def __init__(self, pods: Mapping[Any, Mapping[str, Any]], prometheus: Prometheus) -> None:
        self._pods = pods
        self._prometheus = prometheus
        self._told: set[str] = set()

    def are(self, count: int) -> Any:
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


def test_a_served_model_grows_to_four_replicas_under_load_and_shrinks_to_one_and_no_request_fails(
    platform: InCluster, kubernetes, prometheus, prometheus_adapter, tmp_path
):
    path = write_slow_model(tmp_path / "slow.onnx")
    serving = platform.serve("elastic", path=path, deploy={"scaling": SCALING})

    async def grow_and_shrink() -> None:
        selector = "so1s.io/deployment=elastic"
        async with (
            connect(kubernetes.kubeconfig) as api,
            api.mirror("v1", "Pod", label_selector=selector) as pods,
        ):
            replicas = Replicas(pods.objects, prometheus)
            await until(replicas.are(1))
            async with Load(serving.url, platform.at.gateway, SLOW, clients=4) as slow:
                await until(replicas.are(4), seconds=120)
                await slow.answered(20)
            async with Load(serving.url, platform.at.gateway, QUICK, clients=1) as quick:
                await until(replicas.are(1), seconds=120)
        assert (slow.failed, quick.failed) == (0, 0), (slow.tally, quick.tally)

    platform.run(grow_and_shrink())

import re
from pathlib import Path

import pytest

from services.deployer.adapters.kubernetes.autoscaler import autoscaler
from services.deployer.adapters.kubernetes.pod_metrics import POD_METRICS
from services.deployer.rules import files, recording, serving
from so1s.events import Scaling
from so1s_runtime.manifest import Manifest
from so1s_runtime.metrics import Metrics


def asked_for() -> set[str]:
    """The names in an autoscaler that has every target which is a pod's figure."""
    scaling = Scaling(max_replicas=4, requests_per_second=10, latency_p90_ms=50, latency_p99_ms=90)
    return {each["pods"]["metric"]["name"] for each in autoscaler("fraud", scaling)["metrics"]}


def test_each_figure_that_an_autoscaler_asks_for_is_recorded_and_served():
    recorded = {rule["record"] for group in recording()["groups"] for rule in group["rules"]}
    served = {rule["seriesQuery"].split("{")[0] for rule in serving()["rules"]}
    assert recorded == served == asked_for()


@pytest.mark.parametrize("metric", POD_METRICS, ids=lambda metric: metric.name)
def test_each_figure_is_made_of_what_the_inference_server_counts(metric):
    server = Metrics(Manifest(name="fraud", version="3", format="onnx", file="m", signature=None), lambda: 0)
    server.answered("/v2/models/{name}/infer", 200, 0.1)
    exposition = server.exposition().decode()
    asked = set(re.findall(r"http_\w+", metric.query))
    assert asked
    assert all(f"{name}{{" in exposition for name in asked)


@pytest.mark.parametrize("name", files())
def test_the_rules_that_are_shipped_are_those_of_the_code(name):
    assert Path("deploy/rules", name).read_text() == files()[name]

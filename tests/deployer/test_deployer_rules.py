import json
import re
from pathlib import Path

import pytest

from services.deployer.adapters.kubernetes.autoscaler import autoscaler
from services.deployer.adapters.kubernetes.keda import Keda, scaled_object
from services.deployer.adapters.kubernetes.pod_metrics import POD_METRICS
from services.deployer.rules import files, recording, serving
from so1s.events import Scaling
from so1s_runtime.manifest import Manifest
from so1s_runtime.metrics import Metrics

ALL = Scaling(
    max_replicas=4,
    cpu_percent=70,
    gpu_percent=80,
    requests_per_second=10,
    concurrency=2,
    latency_p90_ms=50,
    latency_p99_ms=90,
)


def names(word: str, text: str) -> set[str]:
    return set(re.findall(rf"\b{word}_\w+", text))


RECORDED = {rule["record"] for group in recording()["groups"] for rule in group["rules"]}


def test_each_figure_that_an_autoscaler_asks_for_is_recorded_and_served():
    served = {rule["seriesQuery"].split("{")[0] for rule in serving()["rules"]}
    asked = names("so1s", json.dumps(autoscaler("fraud", ALL)))
    assert RECORDED == served == asked


def test_each_figure_that_keda_asks_for_is_recorded():
    triggers = scaled_object("fraud", "so1s-risk", ALL, Keda("http://prometheus"))["triggers"]
    queries = [each["metadata"]["query"] for each in triggers if each["type"] == "prometheus"]
    assert names("so1s", " ".join(queries)) == RECORDED


@pytest.mark.parametrize("metric", POD_METRICS, ids=lambda metric: metric.name)
def test_each_figure_is_made_of_what_the_inference_server_counts(metric):
    server = Metrics(Manifest(name="fraud", version="3", format="onnx", file="m", signature=None), lambda: 0)
    server.answered("/v2/models/{name}/infer", 200, 0.1)
    exposition = server.exposition().decode()
    query = metric.query("1m")
    asked = names("http", query)
    assert asked or "DCGM" in query
    assert all(re.search(rf"^{name}[{{ ]", exposition, re.MULTILINE) for name in asked)


@pytest.mark.parametrize("name", files())
def test_the_rules_that_are_shipped_are_those_of_the_code(name):
    assert Path("deploy/rules", name).read_text() == files()[name]

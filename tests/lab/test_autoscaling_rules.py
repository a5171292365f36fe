"""The rules for autoscalers, as Prometheus' own tool finds them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from so1s_lab.debian import program
from tests.lab.conftest import skipped_where_missing

RULES = Path("deploy/rules/prometheus.yaml").absolute()
POD = 'namespace="so1s-risk",pod="fraud-1"'
MINUTES = 4


@pytest.fixture
def promtool() -> Path:
    with skipped_where_missing():
        return Path(program("prometheus")).with_name("promtool")


@pytest.fixture
def finds(promtool: Path, tmp_path: Path):
    """Whether the rules record these values, by figure, of a pod whose counters grow by so much a minute."""

    def check(growing: dict[str, int], expected: dict[str, float]) -> None:
        series = [{"series": name, "values": f"0+{step / 2}x{2 * MINUTES}"} for name, step in growing.items()]
        tests = [
            {
                "expr": f"round({figure}, 0.001)",
                "eval_time": f"{MINUTES - 1}m30s",
                "exp_samples": [{"labels": f"{{{POD}}}", "value": value}],
            }
            for figure, value in expected.items()
        ]
        document: dict[str, Any] = {
            "rule_files": [str(RULES)],
            "evaluation_interval": "15s",
            "tests": [{"interval": "30s", "input_series": series, "promql_expr_test": tests}],
        }
        path = tmp_path / "tests.yaml"
        path.write_text(yaml.safe_dump(document))
        found = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr

    return check


def requests(route: str) -> str:
    return f'http_requests_total{{{POD},route="{route}",status="200"}}'


def bucket(bound: str) -> str:
    return f'http_request_duration_seconds_bucket{{{POD},route="/predict",le="{bound}"}}'


def test_predictions_are_counted_by_second_and_probes_are_not(finds):
    growing = {
        requests("/predict"): 90,
        requests("/v2/models/{name}/infer"): 30,
        requests("/v2/health/live"): 60,
    }
    finds(growing, {"so1s_requests_per_second": 2.0})


def test_latencies_are_quantiles_in_milliseconds(finds):
    growing = {requests("/predict"): 100, bucket("0.1"): 80, bucket("0.2"): 100, bucket("+Inf"): 100}
    finds(growing, {"so1s_latency_p90_milliseconds": 150.0, "so1s_latency_p99_milliseconds": 195.0})


def test_a_pod_that_answers_nothing_has_no_latency(finds):
    growing = {requests("/predict"): 0, bucket("0.1"): 0, bucket("+Inf"): 0}
    idle = {"so1s_requests_per_second", "so1s_latency_p90_milliseconds", "so1s_latency_p99_milliseconds"}
    finds(growing, dict.fromkeys(idle, 0.0))

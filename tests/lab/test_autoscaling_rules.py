"""The rules for autoscalers, as Prometheus' own tool finds them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from so1s_lab.debian import program
from tests.lab.missing import skipped_where_missing

RULES = Path("deploy/rules/prometheus.yaml").absolute()
POD = 'namespace="so1s-risk",pod="fraud-1"'
MINUTES = 4


@pytest.fixture
def promtool() -> Path:
    with skipped_where_missing():
        return Path(program("prometheus")).with_name("promtool")


@pytest.fixture
def finds(promtool: Path, tmp_path: Path):
    """Whether the rules record these values, by figure, of a pod."""

    def check(
        expected: dict[str, float],
        growing: dict[str, int] | None = None,
        steady: dict[str, float] | None = None,
    ) -> None:
        """Counters grow by so much a minute; gauges stay."""
        values = {name: f"0+{step / 2}x{2 * MINUTES}" for name, step in (growing or {}).items()}
        values |= {name: f"{value}x{2 * MINUTES}" for name, value in (steady or {}).items()}
        tests = [
            {
                "expr": f"round({figure}, 0.001)",
                "eval_time": f"{MINUTES - 1}m30s",
                "exp_samples": [{"labels": f"{{{POD}}}", "value": value}],
            }
            for figure, value in expected.items()
        ]
        series = [{"series": name, "values": each} for name, each in values.items()]
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
    finds({"so1s_requests_per_second": 2.0}, growing)


def test_latencies_are_quantiles_in_milliseconds(finds):
    growing = {requests("/predict"): 100, bucket("0.1"): 80, bucket("0.2"): 100, bucket("+Inf"): 100}
    finds({"so1s_latency_p90_milliseconds": 150.0, "so1s_latency_p99_milliseconds": 195.0}, growing)


IDLE = ("so1s_requests_per_second", "so1s_latency_p90_milliseconds", "so1s_latency_p99_milliseconds")
WAITING = f"http_requests_in_flight{{{POD}}}"


def test_a_pod_that_answers_nothing_any_more_has_no_latency(finds):
    growing = {requests("/predict"): 0, bucket("0.1"): 0, bucket("+Inf"): 0}
    finds(dict.fromkeys(IDLE, 0.0), growing, {WAITING: 0})


def test_a_pod_that_nobody_asked_yet_is_idle_and_not_unknown(finds):
    finds(dict.fromkeys(IDLE, 0.0), steady={WAITING: 0})


def test_requests_in_work_or_waiting_are_averaged(finds):
    finds({"so1s_concurrency": 3.0}, steady={WAITING: 3})


EXPORTER = 'namespace="gpu-operator",pod="dcgm-1"'


@pytest.mark.parametrize(
    "labels",
    [
        POD,
        f'exported_namespace="so1s-risk",exported_pod="fraud-1",{EXPORTER}',
    ],
    ids=["named by the exporter", "renamed by Prometheus"],
)
def test_a_pods_gpus_are_averaged_however_its_name_is_kept(finds, labels):
    gpus = {f'DCGM_FI_DEV_GPU_UTIL{{gpu="{number}",{labels}}}': busy for number, busy in enumerate((40, 80))}
    finds({"so1s_gpu_percent": 60.0}, steady=gpus)

"""The consumer of examples/, run as its README says, judging real models on a real platform."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import so1s
from so1s_local.ports import free_port
from tests.scenarios.running import SERVE_SECONDS, Running, until

CONSUMER = Path(__file__).parents[2] / "examples" / "consumer" / "quality.py"


@pytest.fixture(scope="module")
def quality(platform: Running) -> Iterator[None]:
    """The consumer as a process of its own."""
    port = free_port()
    told = {"SO1S_KAFKA": platform.at.kafka, "SO1S_HTTP_PORT": str(port), "SO1S_LOG_FORMAT": "console"}
    with subprocess.Popen([sys.executable, CONSUMER], env=os.environ | told) as process:
        try:
            until(lambda: _ready(f"http://127.0.0.1:{port}/readyz"))
            yield
        finally:
            process.terminate()


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _train(path: Path, *, well: bool) -> Path:
    """A classifier of irises; one that is not trained well takes each kind for the next one."""
    rows, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(rows, labels if well else (np.asarray(labels) + 1) % 3)
    inputs = [("x", FloatTensorType([None, 4]))]
    graph = to_onnx(model, initial_types=inputs, options={"zipmap": False})
    path.write_bytes(graph.SerializeToString())
    return path


def test_a_version_that_the_consumer_finds_right_serves(platform: Running, quality, tmp_path: Path):
    model = platform.publish(
        "iris", path=_train(tmp_path / "model.onnx", well=True), deploy={"requires": ["quality"]}
    )
    steps: list[so1s.Step] = []
    model.wait_until_serving(SERVE_SECONDS, on_step=steps.append)
    assert [step.name for step in steps] == ["published", "built", "ready", "checked", "serving"]


def test_a_version_that_the_consumer_finds_wrong_takes_no_traffic(platform: Running, quality, tmp_path: Path):
    model = platform.publish(
        "iris-worse", path=_train(tmp_path / "model.onnx", well=False), deploy={"requires": ["quality"]}
    )
    with pytest.raises(so1s.RoutesRejected, match=r"accuracy 0\.000, needs 0\.900"):
        model.wait_until_serving(SERVE_SECONDS)

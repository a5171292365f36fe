"""A pipeline: train, publish, wait. It fails where the model does not serve, with the reason.

    .venv/bin/python examples/pipeline/pipeline.py --run-id manual__2026-11-24T12:00:00+00:00

A scheduler may repeat it: the same run is the same version, the same bytes are the same event, and what
failed is tried again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import skops.io
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import so1s
from so1s.events.names import propose_version

DESCRIPTION = Path(__file__).with_name("so1s.yaml")


def train(out: Path) -> dict[str, float]:
    """Write a model, its description and a sample; answers its figures on held-out rows."""
    rows, labels = load_breast_cancer(return_X_y=True)
    train_rows, test_rows, train_labels, test_labels = train_test_split(rows, labels, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train_rows, train_labels)
    skops.io.dump(model, out / "model.skops")
    (out / "sample.json").write_text(json.dumps({"x": test_rows[:2].tolist()}))
    shutil.copy(DESCRIPTION, out)
    return {"accuracy": float(model.score(test_rows, test_labels))}


def run(run_id: str, *, model: str, timeout_seconds: float) -> so1s.Serving:
    """Train a model, publish it as the version of this run, and wait until it serves."""
    with tempfile.TemporaryDirectory() as directory:
        evaluation = train(Path(directory))
        published = so1s.publish_model(
            model,
            directory,
            version=propose_version(run_id),  # a scheduler's run id has ':' and '+'
            evaluation=evaluation,
            labels={"team": "fraud-ds"},
            deploy={"scaling": {"max_replicas": 2}},
        )
    return published.wait_until_serving(timeout_seconds)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--model", default="cancer")
    parser.add_argument("--timeout-seconds", type=float, default=600)
    said = parser.parse_args()
    serving = run(said.run_id, model=said.model, timeout_seconds=said.timeout_seconds)
    print(f"serving at {serving.url}/predict")


if __name__ == "__main__":
    main()

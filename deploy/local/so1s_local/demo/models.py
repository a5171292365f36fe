"""Real models on real data, as a pipeline would train them.

The data are the Breast Cancer Wisconsin (569 tumours, 30 measurements) and the Wine data sets (178
wines, 13 measurements) of the UCI repository, which scikit-learn ships in its wheel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 7


@dataclass(frozen=True)
class Trained:
    """A fitted model, the rows it never saw, and the file that serves it."""

    account: str
    name: str
    kind: str
    path: Path
    accuracy: float
    rows: np.ndarray
    predict: Callable[[np.ndarray], list[int]]
    """What the library itself says of rows."""


@dataclass(frozen=True)
class Recipe:
    """What to fit on which data, and how to write it down."""

    account: str
    name: str
    model: Any
    data: Any
    write: Callable[[Path, Any, np.ndarray], Path]


def train(directory: Path) -> list[Trained]:
    """Fit four models and write their artifacts."""
    return [_fit(directory, recipe) for recipe in _recipes()]


def _recipes() -> list[Recipe]:
    tumours, wines = datasets.load_breast_cancer(), datasets.load_wine()
    forest = RandomForestClassifier(n_estimators=20, max_depth=6, random_state=SEED)
    boosted = HistGradientBoostingClassifier(max_iter=40, random_state=SEED)
    return [
        Recipe("clinic", "tumour", _linear(), tumours, _write_skops),
        Recipe("clinic", "tumour-forest", forest, tumours, _write_onnx),
        Recipe("clinic", "tumour-boosted", boosted, tumours, _write_skops),
        Recipe("winery", "wine", _linear(), wines, _write_skops),
    ]


def _linear() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def _fit(directory: Path, recipe: Recipe) -> Trained:
    data, model = recipe.data, recipe.model
    seen, held_out, labels, truth = train_test_split(data.data, data.target, test_size=0.3, random_state=SEED)
    model.fit(seen, labels)
    target = directory / recipe.account / recipe.name
    target.mkdir(parents=True, exist_ok=True)
    path = recipe.write(target, model, seen)

    def predict(rows: np.ndarray) -> list[int]:
        return [int(label) for label in model.predict(rows)]

    kind = type(model.steps[-1][1] if hasattr(model, "steps") else model).__name__
    return Trained(recipe.account, recipe.name, kind, path, model.score(held_out, truth), held_out, predict)


def _write_skops(target: Path, model: Any, _rows: np.ndarray) -> Path:
    from skops.io import dump

    path = target / "model.skops"
    dump(model, path)
    return path


def _write_onnx(target: Path, model: Any, rows: np.ndarray) -> Path:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    path = target / "model.onnx"
    # The variants of an endpoint take the same inputs: this one's is called x, as skops models' are.
    inputs: Any = [("x", FloatTensorType([None, rows.shape[1]]))]
    graph = to_onnx(model, initial_types=inputs, options={"zipmap": False})
    path.write_bytes(graph.SerializeToString())
    return path

"""scikit-learn's HistGradientBoosting to ONNX.

https://scikit-learn.org/stable/modules/ensemble.html#histogram-based-gradient-boosting. skl2onnx rounds its
splits to float32, and writes nodes that newer versions of ONNX refuse.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from so1s_compiler.forest import Forest
from so1s_compiler.graph import Graph
from so1s_compiler.meaning import classes, identity, operator

_LINKS = {"IdentityLink": identity, "LogLink": operator("Exp")}
"""Of the losses of the regressor: https://github.com/scikit-learn/scikit-learn/blob/main/sklearn/_loss/link.py."""


def answers(graph: Graph, rows: str, model: Any) -> Mapping[str, str]:
    """Add a fitted estimator to a graph; answers `label`, and of a classifier `probabilities`.

    Args:
        graph: where it is added.
        rows: a value of float64, `[rows, features]`.
        model: a HistGradientBoostingClassifier or HistGradientBoostingRegressor.
    """
    start = graph.constant(np.asarray(model._baseline_prediction, float))  # noqa: SLF001 - nowhere else
    sums = graph.add("Add", _forest(model).sums(graph, rows), start)
    if not is_classifier(model):
        link = _LINKS[type(model._loss.link).__name__]  # noqa: SLF001 - see above
        return {"label": link(graph, sums)}
    columns = model.n_trees_per_iteration_
    probabilities = graph.add("Softmax", sums, axis=1) if columns > 1 else graph.add("Sigmoid", sums)
    found = classes(graph, probabilities, columns, "float64")
    number = graph.cast(found["label"], "int64")
    return {**found, "label": graph.add("Gather", graph.constant(_words(model.classes_)), number)}


def _forest(model: Any) -> Forest:
    forest = Forest("float64", "<=", model.n_trees_per_iteration_)
    for iteration in model._predictors:  # noqa: SLF001 - see above
        for target, tree in enumerate(iteration):
            nodes = tree.nodes
            forest.add_nodes(
                target,
                is_leaf=nodes["is_leaf"].astype(bool),
                values=nodes["value"],
                features=nodes["feature_idx"].astype(int),
                splits=nodes["num_threshold"],
                left=nodes["left"].astype(int),
                right=nodes["right"].astype(int),
            )
    return forest


def _words(labels: np.ndarray) -> np.ndarray:
    """NumPy's fixed-width strings have no counterpart in ONNX."""
    return labels.astype(object) if labels.dtype.kind == "U" else labels

"""XGBoost's JSON to ONNX: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from so1s_compiler import COMPILER
from so1s_compiler.agreement import TREES
from so1s_compiler.errors import CannotCompile
from so1s_compiler.forest import Forest
from so1s_compiler.graph import Graph, Way
from so1s_compiler.meaning import Link, classes, identity, operator
from so1s_runtime.loaders.xgboost import PROBABILITIES, read_booster
from so1s_runtime.manifest import Signature

__all__ = ["ALLOWANCE", "COMPILER", "LIBRARY", "ways"]

ALLOWANCE = TREES
LIBRARY = "xgboost-cpu"


def ways(path: Path, signature: Signature) -> Iterator[Way]:
    """The one there is. Raises CannotCompile, which names what has none."""
    yield partial(_translated, path, signature)


def _translated(path: Path, signature: Signature) -> ModelProto:
    learner = _learner(path)
    objective = learner["objective"]["name"]
    if objective not in _LINKS:
        raise CannotCompile(f"XGBoost's objective {objective} is not known to the compiler")
    parameters = learner["learner_model_param"]
    groups = max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))
    graph = Graph(signature)
    rows = graph.cast(graph.input, "float32")
    start = graph.constant(_start(learner))
    sums = graph.add("Add", _sums(learner, graph, rows, groups), start)
    answers = _LINKS[objective](graph, sums)
    if objective in PROBABILITIES:
        return graph.finish(classes(graph, answers, groups, "float32"))
    return graph.finish({"label": answers})


def _learner(path: Path) -> dict[str, Any]:
    """What the model learned, up to the best iteration that early stopping found, as the server does."""
    model = read_booster(path, threads=1)
    best = model.attr("best_iteration")
    kind = json.loads(model.save_config())["learner"]["gradient_booster"]["name"]
    if best and kind != "gblinear":
        model = model[: model.best_iteration + 1]
    return json.loads(model.save_raw("json"))["learner"]


def _start(learner: Mapping[str, Any]) -> np.ndarray:
    """What the sums begin with, one for each group: `base_score` is kept as an answer, before the link."""
    objective, said = learner["objective"]["name"], json.loads(learner["learner_model_param"]["base_score"])
    said = np.atleast_1d(np.array(said, np.float32))
    if learner["gradient_booster"]["name"] == "gblinear":
        said = said[:1]  # as the library does, whatever the number of groups
    if objective in _LOGISTIC:
        return -np.log(1 / said - 1)
    return np.log(said) if objective in _LOGARITHMIC else said


def _sums(learner: Mapping[str, Any], graph: Graph, rows: str, groups: int) -> str:
    kind = learner["gradient_booster"]["name"]
    if kind == "gblinear":
        weights = np.array(learner["gradient_booster"]["model"]["weights"], np.float32).reshape(-1, groups)
        product = graph.add("MatMul", rows, graph.constant(weights[:-1]))
        return graph.add("Add", product, graph.constant(weights[-1]))
    boosted = learner["gradient_booster"]
    model = boosted["gbtree"]["model"] if kind == "dart" else boosted["model"]
    weights = boosted["weight_drop"] if kind == "dart" else [1.0] * len(model["trees"])
    forest = Forest("float32", "<", groups)
    for tree, target, weight in zip(model["trees"], model["tree_info"], weights, strict=True):
        _add(forest, target, weight, tree)
    return forest.sums(graph, rows)


def _add(forest: Forest, target: int, weight: float, tree: Mapping[str, Any]) -> None:
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise CannotCompile("XGBoost's trees with several outputs a leaf are not compiled")
    if tree["categories"]:
        feature = tree["split_indices"][tree["categories_nodes"][0]]
        raise CannotCompile(f"XGBoost's feature {feature} is categorical: it is not compiled")
    left = np.array(tree["left_children"])
    conditions = np.array(tree["split_conditions"], np.float32)
    forest.add_nodes(
        target,
        is_leaf=left == -1,
        values=conditions * np.float32(weight),
        features=np.array(tree["split_indices"]),
        splits=conditions,
        left=left,
        right=np.array(tree["right_children"]),
    )


def _hinge(graph: Graph, value: str) -> str:
    return graph.add("Greater", value, graph.constant(np.array(0, np.float32)))


_LOGISTIC = ("binary:logistic", "reg:logistic")
_LOGARITHMIC = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
_AS_IT_IS = (
    *("reg:squarederror", "reg:squaredlogerror", "reg:absoluteerror", "reg:pseudohubererror"),
    *("reg:quantileerror", "reg:expectileerror", "rank:pairwise", "rank:ndcg", "rank:map"),
)

# https://xgboost.readthedocs.io/en/stable/parameter.html#learning-task-parameters
_LINKS: Mapping[str, Link] = {
    **dict.fromkeys((*_AS_IT_IS, "binary:logitraw"), identity),
    **dict.fromkeys(_LOGARITHMIC, operator("Exp")),
    **dict.fromkeys(_LOGISTIC, operator("Sigmoid")),
    "binary:hinge": _hinge,
    "multi:softprob": operator("Softmax", axis=1),
    "multi:softmax": operator("ArgMax", axis=1, keepdims=0),
}

"""LightGBM's text to ONNX: https://github.com/lightgbm-org/LightGBM/blob/master/src/io/gbdt_model_text.cpp."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from onnx import ModelProto

from so1s_compiler import COMPILER
from so1s_compiler.agreement import TREES
from so1s_compiler.errors import CannotCompile
from so1s_compiler.forest import Forest
from so1s_compiler.graph import Graph, Way
from so1s_compiler.meaning import Link, classes, identity, operator
from so1s_runtime.loaders.lightgbm import PROBABILITIES
from so1s_runtime.manifest import Signature

__all__ = ["ALLOWANCE", "COMPILER", "LIBRARY", "ways"]

ALLOWANCE = TREES
LIBRARY = "lightgbm"

_CATEGORICAL, _MISSING, _ZERO_IS_MISSING = 0b1, 0b1100, 0b0100

Block = Mapping[str, str]


def ways(path: Path, signature: Signature) -> Iterator[Way]:
    """The one there is. Raises CannotCompile, which names what has none."""
    yield partial(_translated, path, signature)


def _translated(path: Path, signature: Signature) -> ModelProto:
    header, *trees = _blocks(path.read_text())
    groups = int(header["num_tree_per_iteration"])
    objective, _, said = header.get("objective", "").partition(" ")
    parameters = dict(each.partition(":")[::2] for each in said.split())
    forest = Forest("float64", "<=", groups)
    for number, tree in enumerate(trees):
        _add(forest, number % groups, tree)
    graph = Graph(signature)
    sums = forest.sums(graph, graph.cast(graph.input, "float64"))
    if "average_output" in header:
        sums = graph.add("Div", sums, graph.constant(np.array(len(trees) / groups)))
    answers = _link(objective, parameters)(graph, sums)
    if objective in PROBABILITIES:
        return graph.finish(classes(graph, answers, groups, "float64"))
    return graph.finish({"label": answers})


def _blocks(text: str) -> Iterator[Block]:
    """The header, then each tree, as far as there are trees: lines `key=value`, or a key alone."""
    for block in text.partition("\nend of trees")[0].split("\nTree="):
        yield dict(line.partition("=")[::2] for line in block.splitlines())


def _add(forest: Forest, target: int, tree: Block) -> None:
    decisions = _numbers(tree, "decision_type").astype(int)
    features = _numbers(tree, "split_feature").astype(int)
    if tree.get("is_linear") == "1":
        raise CannotCompile("LightGBM's linear trees have no ONNX")
    for problem, is_met in (
        ("categorical, which is compared to a set", decisions & _CATEGORICAL != 0),
        ("trained with zero_as_missing", decisions & _MISSING == _ZERO_IS_MISSING),
    ):
        if is_met.any():
            raise CannotCompile(f"LightGBM's feature {features[is_met][0]} is {problem}: it is not compiled")
    forest.add(
        target,
        _numbers(tree, "leaf_value"),
        features=features,
        splits=_numbers(tree, "threshold"),
        left=_numbers(tree, "left_child").astype(int),
        right=_numbers(tree, "right_child").astype(int),
    )


def _numbers(tree: Block, key: str) -> np.ndarray:
    return np.array(tree.get(key, "").split(), float)


def _link(objective: str, parameters: Mapping[str, str]) -> Link:
    """https://github.com/lightgbm-org/LightGBM/tree/master/src/objective: the functions ConvertOutput."""
    if objective in {"binary", "multiclassova"}:
        return _scaled_sigmoid(float(parameters.get("sigmoid", "1")))
    if objective == "regression" and "sqrt" in parameters:
        return _signed_square
    link = _LINKS.get(objective)
    if link is None:
        raise CannotCompile(f"LightGBM's objective {objective!r} is not known to the compiler")
    return link


def _scaled_sigmoid(scale: float) -> Link:
    def link(graph: Graph, value: str) -> str:
        return graph.add("Sigmoid", graph.add("Mul", value, graph.constant(np.array(scale))))

    return link


def _signed_square(graph: Graph, value: str) -> str:
    return graph.add("Mul", value, graph.add("Abs", value))


_LINKS: Mapping[str, Link] = {
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), identity),
    **dict.fromkeys(("", "custom", "lambdarank", "rank_xendcg"), identity),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), operator("Exp")),
    "multiclass": operator("Softmax", axis=1),
    "cross_entropy": operator("Sigmoid"),
    "cross_entropy_lambda": operator("Softplus"),
}

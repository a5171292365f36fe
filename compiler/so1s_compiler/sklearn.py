"""scikit-learn's estimators to ONNX, by skl2onnx: https://onnx.ai/sklearn-onnx/."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from onnx import ModelProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from so1s_compiler import hist_boosting
from so1s_compiler.agreement import TREES
from so1s_compiler.errors import CannotCompile, first_line
from so1s_compiler.graph import ML, Graph, Way
from so1s_runtime.loaders.skops import estimator
from so1s_runtime.manifest import Signature

ALLOWANCE = TREES
LIBRARY, COMPILER = "scikit-learn", "skl2onnx"

_OPSETS = {"": 18, ML: 3}
_TYPES = {
    "float32": FloatTensorType,
    "float64": DoubleTensorType,
    "int64": Int64TensorType,
    "bool": BooleanTensorType,
    "string": StringTensorType,
}
_OUTPUTS = ("label", "probabilities")  # in the order in which skl2onnx writes them
_CLASS = re.compile(r"<class '(?:\w+\.)*(?P<name>\w+)'>")


def ways(path: Path, signature: Signature) -> Iterator[Way]:
    """In the types that scikit-learn computes in, as far as ONNX has them; then ever less exact.

    HistGradientBoosting is written as it is. Each raises CannotCompile, which names the estimator that has no
    translation.
    """
    model = estimator(path)
    if isinstance(_last(model), HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        yield partial(_translated, _boosted, model, signature)
        return
    yield partial(_translated, _exactly, model, signature)
    if isinstance(model, Pipeline) and len(model) > 1:
        yield partial(_translated, _trees_at_the_end, model, signature)
    yield partial(_translated, _in_float32, model, signature)


def _translated(way: Callable[[Any, Signature], ModelProto], model: Any, signature: Signature) -> ModelProto:
    try:
        return way(model, signature)
    except Exception as error:  # skl2onnx raises of any type
        raise _problem(model, error) from error


def _exactly(model: Any, signature: Signature) -> ModelProto:
    """In float64, which linear models, neighbours and networks are exact in."""
    (spec,) = signature.inputs
    dtype = spec.dtype.name if spec.dtype.name in {"string", "bool", "int64"} else "float64"
    return _whole(model, signature, dtype)


def _in_float32(model: Any, signature: Signature) -> ModelProto:
    """In float32: what scikit-learn's trees compare in, and all that some operators of ONNX have."""
    return _whole(model, signature, "float32")


def _whole(model: Any, signature: Signature, dtype: str) -> ModelProto:
    graph = Graph(signature, _OPSETS)
    value = graph.input if dtype == signature.inputs[0].dtype.name else graph.cast(graph.input, dtype)
    return _finish(graph, graph.graft(_converted(model, dtype, signature), value))


def _trees_at_the_end(model: Any, signature: Signature) -> ModelProto:
    """The steps before the last in float64, and their result as float32 into that: so a tree takes it."""
    graph = Graph(signature, _OPSETS)
    last = _last(model)
    part = _converted(last, "float32", signature, features=last.n_features_in_)
    return _finish(graph, graph.graft(part, graph.cast(_prepared(graph, model, signature), "float32")))


def _boosted(model: Any, signature: Signature) -> ModelProto:
    """The steps before the last, and the trees of that: all in float64."""
    graph = Graph(signature)
    rows = graph.cast(_prepared(graph, model, signature), "float64")
    return graph.finish(hist_boosting.answers(graph, rows, _last(model)))


def _last(model: Any) -> Any:
    return model[-1] if isinstance(model, Pipeline) else model


def _prepared(graph: Graph, model: Any, signature: Signature) -> str:
    """What the last step of a model gets."""
    if not isinstance(model, Pipeline) or len(model) == 1:
        return graph.input
    (spec,) = signature.inputs
    dtype = spec.dtype.name if spec.dtype.name in {"string", "bool", "int64"} else "float64"
    value = graph.input if dtype == spec.dtype.name else graph.cast(graph.input, dtype)
    prepared, *_ = graph.graft(_converted(model[:-1], dtype, signature), value)
    return prepared


def _converted(model: Any, dtype: str, signature: Signature, features: int | None = None) -> ModelProto:
    shape = [None, features] if features else [None, *signature.inputs[0].shape[1:]]
    if len(shape) == 1:
        shape.append(1)
    return convert_sklearn(
        model,
        name="model",  # else a random one
        initial_types=[("rows", _TYPES[dtype](shape))],
        target_opset=_OPSETS,
        options={id(model): {"zipmap": False}} if _has_probabilities(model) else None,
    )


def _has_probabilities(model: Any) -> bool:
    """Whether skl2onnx would write a map of class to probability if nobody told it otherwise."""
    return is_classifier(model) and hasattr(model, "predict_proba")


def _finish(graph: Graph, outputs: list[str]) -> ModelProto:
    return graph.finish(dict(zip(_OUTPUTS, outputs, strict=False)))


def _problem(model: Any, error: Exception) -> CannotCompile:
    found = _CLASS.search(str(error))
    name = found["name"] if found else type(model).__name__
    said = "" if found else f": {first_line(error)}"
    return CannotCompile(f"scikit-learn's {name} cannot be compiled to ONNX{said}")

"""What a model is tried with: its sample, and rows that are made up.

A few rows take few branches of a tree, so most are made up, always the same ones: at the model's own splits
and their nearest neighbours in float32 and float64, around the sample, and normally distributed at several
scales.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from so1s_runtime.manifest import TensorSpec

_SEED = 7
_AT_SPLITS, _AROUND_SAMPLE = 400, 200
_NORMAL = {0.01: 50, 1.0: 200, 100.0: 50}
"""Scale to rows."""
_MOST_VALUES = 4_000_000
_ZERO = 1e-30
"""LightGBM takes what is nearer to zero than 1e-35 for zero, and often splits just there."""

Splits = Mapping[int, np.ndarray]
"""Feature to the values that trees compare it to."""


def made_up(spec: TensorSpec, sample: np.ndarray | None, splits: Splits) -> np.ndarray | None:
    """Rows within the type and shape of an input; None where it takes strings, which mean something."""
    if spec.dtype.name == "string":
        return None
    random = np.random.default_rng(_SEED)
    lengths = [1 if length == -1 else length for length in spec.shape[1:]]
    features = int(np.prod(lengths, dtype=int))
    parts = [np.zeros((1, features)), *_normal(random, features)]
    if splits:
        parts.append(_at_splits(random, features, splits))
    if sample is not None:
        parts.append(_around(random, sample.reshape(len(sample), -1).astype(float)))
    rows = random.permutation(np.concatenate(parts))[: max(1, _MOST_VALUES // max(1, features))]
    if spec.shape and spec.shape[0] != -1:
        rows = rows[: spec.shape[0]]
    rows[np.abs(rows) < _ZERO] = 0
    return _as(spec.dtype.numpy, rows).reshape(len(rows), *lengths) if spec.shape else None


def _normal(random: np.random.Generator, features: int) -> Iterator[np.ndarray]:
    for scale, count in _NORMAL.items():
        yield random.normal(size=(count, features)) * scale


def _at_splits(random: np.random.Generator, features: int, splits: Splits) -> np.ndarray:
    rows = random.normal(size=(_AT_SPLITS, features))
    for feature, values in splits.items():
        if feature < features:
            rows[:, feature] = _neighbour(random, random.choice(values, _AT_SPLITS))
    return rows


def _neighbour(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Each value itself, or the next one above or below, in float64 or in float32."""
    single = values.astype(np.float32)
    up, down = (np.nextafter(values, end) for end in (np.inf, -np.inf))
    wide_up, wide_down = (np.nextafter(single, np.float32(end)).astype(float) for end in (np.inf, -np.inf))
    return np.choose(random.integers(0, 5, len(values)), [values, up, down, wide_up, wide_down])


def _around(random: np.random.Generator, sample: np.ndarray) -> np.ndarray:
    """Each value from any row of the sample, moved by a tenth of its size."""
    chosen = random.integers(0, len(sample), (_AROUND_SAMPLE, sample.shape[1]))
    rows = np.take_along_axis(sample, chosen, axis=0)
    return rows * (1 + random.normal(size=rows.shape) / 10)


def _as(dtype: np.dtype, rows: np.ndarray) -> np.ndarray:
    if dtype.kind == "b":
        return rows > 0
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(rows), max(limits.min, -1e6), min(limits.max, 1e6)).astype(dtype)
    return rows.astype(dtype)


def splits_of(model: ModelProto) -> Splits:
    """What the trees of a graph that see its input as it is compare each feature to."""
    plain = {model.graph.input[0].name}
    found: dict[int, list[np.ndarray]] = {}
    for node in model.graph.node:
        if node.op_type in {"Cast", "Identity"} and node.input[0] in plain:
            plain.add(node.output[0])
        elif node.op_type.startswith("TreeEnsemble") and node.input[0] in plain:
            features, values = _compared(node)
            for feature in np.unique(features):
                found.setdefault(int(feature), []).append(values[features == feature])
    return {feature: np.unique(np.concatenate(values)) for feature, values in found.items()}


def _compared(node: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    features = np.array(attributes["nodes_featureids"])
    if "nodes_splits" in attributes:
        return features, numpy_helper.to_array(attributes["nodes_splits"]).astype(float)
    branch = np.array([mode != b"LEAF" for mode in attributes["nodes_modes"]])
    tensor = attributes.get("nodes_values_as_tensor")
    values = numpy_helper.to_array(tensor) if tensor else np.array(attributes["nodes_values"])
    return features[branch], values.astype(float)[branch]

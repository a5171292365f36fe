"""What a model is tried with: its sample, and rows that are made up.

A few rows take few branches of a tree, so most are made up, always the same ones: at the model's own splits
and their nearest neighbours in float32 and float64, around the sample, and normally distributed at several
scales.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from so1s_runtime.manifest import TensorSpec

_SEED = 7
_AT_SPLITS, _AROUND_SAMPLE = 400, 200
_NORMAL = {0.01: 50, 1.0: 200, 100.0: 50}
"""Scale to rows."""
_MOST_ROWS = 1 + sum(_NORMAL.values()) + _AT_SPLITS + _AROUND_SAMPLE
_MOST_VALUES = 4_000_000
"""Of all rows together; of larger rows there are fewer."""
_ZERO = 1e-30
"""LightGBM takes what is nearer to zero than 1e-35 for zero, and often splits just there."""

Splits = Mapping[int, np.ndarray]
"""Feature to the values that trees compare it to."""


Rows = Mapping[str, np.ndarray]
"""Input to its values."""


def made_up(
    specs: Sequence[TensorSpec], sample: Rows | None, splits: Splits, stretch: int = 1
) -> Rows | None:
    """Rows within the types and shapes of all inputs; None where one takes strings, which mean something.

    Args:
        specs: the inputs.
        sample: the author's own rows, which say how long those axes are that may have any length.
        splits: of the one input, where there are trees.
        stretch: by how much these axes are longer than in the sample, or than 1.
    """
    if any(spec.dtype.name == "string" for spec in specs):
        return None
    found = {
        spec.name: _made_up(
            spec, None if sample is None else sample[spec.name], splits, _SEED + number, stretch
        )
        for number, spec in enumerate(specs)
    }
    count = min((len(found[spec.name]) for spec in specs if spec.has_batch_axis), default=0)
    return {
        spec.name: found[spec.name][:count] if spec.has_batch_axis else found[spec.name] for spec in specs
    }


def _made_up(
    spec: TensorSpec, sample: np.ndarray | None, splits: Splits, seed: int, stretch: int
) -> np.ndarray:
    random = np.random.default_rng(seed)
    known = spec.shape if sample is None else sample.shape
    lengths = [
        max(1, known[axis]) * stretch if length == -1 else length
        for axis, length in enumerate(spec.shape)
        if axis
    ]
    features = int(np.prod(lengths, dtype=int))
    share = min(1, _MOST_VALUES / _MOST_ROWS / max(1, features))
    parts = [np.zeros((1, features)), *_normal(random, features, share)]
    if splits:
        parts.append(_at_splits(random, features, splits, share))
    if sample is not None and sample.ndim and stretch == 1:
        parts.append(_around(random, sample.reshape(len(sample), -1).astype(float), share))
    rows = random.permutation(np.concatenate(parts))
    rows[np.abs(rows) < _ZERO] = 0
    if not spec.has_batch_axis:
        rows = np.resize(rows, (spec.shape[0] if spec.shape else 1, features))
    found = _as(spec.dtype.numpy, rows).reshape(len(rows), *lengths)
    return found if spec.shape else found[0]


def _part(count: int, share: float) -> int:
    return max(1, int(count * share))


def _normal(random: np.random.Generator, features: int, share: float) -> Iterator[np.ndarray]:
    for scale, count in _NORMAL.items():
        yield random.normal(size=(_part(count, share), features)) * scale


def _at_splits(random: np.random.Generator, features: int, splits: Splits, share: float) -> np.ndarray:
    rows = random.normal(size=(_part(_AT_SPLITS, share), features))
    for feature, values in splits.items():
        if feature < features:
            rows[:, feature] = _neighbour(random, random.choice(values, len(rows)))
    return rows


def _neighbour(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Each value itself, or the next one above or below, in float64 or in float32."""
    single = values.astype(np.float32)
    up, down = (np.nextafter(values, end) for end in (np.inf, -np.inf))
    wide_up, wide_down = (np.nextafter(single, np.float32(end)).astype(float) for end in (np.inf, -np.inf))
    return np.choose(random.integers(0, 5, len(values)), [values, up, down, wide_up, wide_down])


def _around(random: np.random.Generator, sample: np.ndarray, share: float) -> np.ndarray:
    """Each value from any row of the sample, moved by a tenth of its size."""
    chosen = random.integers(0, len(sample), (_part(_AROUND_SAMPLE, share), sample.shape[1]))
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

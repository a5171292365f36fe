"""Decision trees as the operator TreeEnsemble of ONNX.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html. Converters of others write its predecessors,
whose sums are float32, and round the splits of LightGBM to float32: a row between a split and its rounded
value then takes another branch. This operator has both types.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from onnx import TensorProto, numpy_helper

from so1s_compiler.graph import ML, Graph

_MODES = {"<=": 0, "<": 1}
_SUM, _NO_TRANSFORM = 1, 0


@dataclass
class Forest:
    """Trees whose values are summed by target; a row whose feature compares true to a split goes left."""

    dtype: Literal["float32", "float64"]
    """Of splits, values and sums, as the library has them."""
    comparison: Literal["<=", "<"]
    targets: int
    _features: list[np.ndarray] = field(default_factory=list)
    _splits: list[np.ndarray] = field(default_factory=list)
    _left: list[np.ndarray] = field(default_factory=list)
    _right: list[np.ndarray] = field(default_factory=list)
    _values: list[np.ndarray] = field(default_factory=list)
    _targets: list[np.ndarray] = field(default_factory=list)
    _roots: list[int] = field(default_factory=list)
    _nodes: int = 0
    _leaves: int = 0

    def add(
        self,
        target: int,
        values: np.ndarray,
        *,
        features: np.ndarray,
        splits: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
    ) -> None:
        """Add a tree; its root is its first node.

        Args:
            target: to which its values are added.
            values: of its leaves.
            features: of its nodes, as the others; without a node, the tree is one leaf.
            splits: likewise.
            left: the next node, or the complement `~n` of a leaf's number.
            right: likewise.
        """
        if not len(features):
            features, splits, left, right = (
                np.array([0]),
                np.array([0.0]),
                np.array([~0]),
                np.array([~0]),
            )
        self._roots.append(self._nodes)
        self._features.append(features)
        self._splits.append(splits)
        for kept, children in ((self._left, left), (self._right, right)):
            kept.append(np.where(children >= 0, children + self._nodes, children - self._leaves))
        self._values.append(values)
        self._targets.append(np.full(len(values), target))
        self._nodes += len(features)
        self._leaves += len(values)

    def add_nodes(
        self,
        target: int,
        *,
        is_leaf: np.ndarray,
        values: np.ndarray,
        features: np.ndarray,
        splits: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
    ) -> None:
        """Add a tree whose nodes and leaves share their numbers, in arrays of one length."""
        number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
        self.add(
            target,
            values[is_leaf],
            features=features[~is_leaf],
            splits=splits[~is_leaf],
            left=number[left[~is_leaf]],
            right=number[right[~is_leaf]],
        )

    def sums(self, graph: Graph, rows: str) -> str:
        """Add the trees to a graph; answers the sums, of shape `[rows, targets]`."""
        left, right = np.concatenate(self._left), np.concatenate(self._right)
        return graph.add(
            "TreeEnsemble",
            rows,
            domain=ML,
            n_targets=self.targets,
            aggregate_function=_SUM,
            post_transform=_NO_TRANSFORM,
            tree_roots=self._roots,
            nodes_featureids=np.concatenate(self._features).tolist(),
            nodes_splits=self._tensor(self._splits),
            nodes_modes=numpy_helper.from_array(np.full(self._nodes, _MODES[self.comparison], np.uint8)),
            **_children("true", left),
            **_children("false", right),
            leaf_targetids=np.concatenate(self._targets).tolist(),
            leaf_weights=self._tensor(self._values),
        )

    def _tensor(self, parts: list[np.ndarray]) -> TensorProto:
        return numpy_helper.from_array(np.concatenate(parts).astype(self.dtype))


def _children(side: Literal["true", "false"], children: np.ndarray) -> dict[str, list[int]]:
    leaf = children < 0
    return {
        f"nodes_{side}nodeids": np.where(leaf, ~children, children).tolist(),
        f"nodes_{side}leafs": leaf.astype(int).tolist(),
    }

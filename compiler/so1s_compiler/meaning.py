"""What the sums of boosted trees mean, in a graph: `so1s_runtime.loaders.answers` says the same in NumPy."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from so1s_compiler.graph import Graph

Link = Callable[[Graph, str], str]
"""Adds a transformation of a value to a graph."""


def operator(name: str, **attributes: Any) -> Link:
    """The link that is one operator, such as `Exp`."""
    return lambda graph, value: graph.add(name, value, **attributes)


def identity(_graph: Graph, value: str) -> str:
    """The sums themselves."""
    return value


def classes(graph: Graph, probabilities: str, columns: int, dtype: str) -> Mapping[str, str]:
    """`label` and `probabilities`; of two classes there is one column, that of class 1."""
    if columns > 1:
        return {
            "label": graph.add("ArgMax", probabilities, axis=1, keepdims=0),
            "probabilities": probabilities,
        }
    one, half = (graph.constant(np.array(number, dtype)) for number in (1, 0.5))
    other = graph.add("Sub", one, probabilities)
    label = graph.add("Greater", probabilities, half)
    return {"label": label, "probabilities": graph.add("Concat", other, probabilities, axis=1)}

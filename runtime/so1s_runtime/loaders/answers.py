"""What boosted trees answer, under the names that classifiers and regressors have in So1s."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import TensorSpec

Answer = Mapping[str, np.ndarray]
Meaning = Callable[[np.ndarray], Answer]


def classes(probabilities: np.ndarray) -> Answer:
    """`label`, the index of the likeliest class, and `probabilities`, of shape `[rows, classes]`.

    Of two classes the library gives one column, that of class 1.
    """
    if probabilities.ndim == 1:
        label = (probabilities > 0.5).astype(np.int64)  # noqa: PLR2004 - where the two classes are equally likely
        return {"label": label, "probabilities": np.stack([1 - probabilities, probabilities], axis=1)}
    return {"label": probabilities.argmax(axis=1), "probabilities": probabilities}


def label_alone(values: np.ndarray) -> Answer:
    """`label`, as the library has it."""
    return {"label": values}


def outputs_of(answer: Answer) -> tuple[TensorSpec, ...]:
    """The outputs that the answer to some rows shows."""
    return tuple(
        TensorSpec(name, DTYPES[array.dtype.name], (-1, *array.shape[1:])) for name, array in answer.items()
    )


def pick(answer: Answer, outputs: Sequence[str]) -> list[np.ndarray]:
    """The wanted outputs in their order."""
    return [answer[name] for name in outputs]

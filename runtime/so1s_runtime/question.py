"""A request, decoded: what the model is asked, and how its answer is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from so1s_runtime.manifest import TensorSpec
from so1s_runtime.model import Model

T = TypeVar("T")


@dataclass(slots=True)
class Question(Generic[T]):
    """Checked inputs by name, the wanted outputs, and `encode`, which writes them as the caller wants."""

    model: Model
    inputs: dict[str, np.ndarray]
    outputs: Sequence[TensorSpec]
    encode: Callable[[Sequence[np.ndarray]], T]
    # Sees the question and what the model answered, where that is a good answer.
    tap: Callable[["Question", Sequence[np.ndarray]], None] | None = None

    def answer(self) -> T:
        """Ask the model. Raises whatever the model does."""
        return self.say(self.model.run(self.inputs, self.outputs))

    def say(self, arrays: Sequence[np.ndarray]) -> T:
        """The answer that a caller gets of what the model answered."""
        answer = self.encode(arrays)
        if self.tap:
            self.tap(self, arrays)
        return answer

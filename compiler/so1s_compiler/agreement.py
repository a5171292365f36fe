"""How far the answers of a compiled model may differ from those of its library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Answer = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Allowance:
    """By how much answers may differ.

    A probability may differ by `tolerance`. Another number may differ by so much of itself, or of the median
    answer where that is larger, since a small number may be the sum of larger ones. A label is the same,
    unless the library's own probabilities of its two likeliest classes are nearer to each other than this.
    """

    tolerance: float
    of_row: bool = False
    """Whether the largest number of the same row counts as the median does: a network computes the small
    ones of a row, as after a softmax, from all of it."""


TREES = Allowance(1e-5)
"""Of estimators and trees."""
NETWORKS = Allowance(1e-4, of_row=True)
"""Both sides compute in float32, and add in another order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers differ most, measured by what is allowed there."""

    output: str
    position: tuple[int, ...]
    """The row first; empty where it is the whole answer."""
    library: Any
    compiled: Any
    size: float
    """0 for equal answers, infinity where they cannot be subtracted."""
    allowed: float

    @property
    def share(self) -> float:
        """How much of what is allowed it takes."""
        if self.allowed:
            return self.size / self.allowed
        return np.inf if self.size else 0.0

    @property
    def is_too_large(self) -> bool:
        """Whether it is above what is allowed."""
        return self.size > self.allowed

    @property
    def place(self) -> str:
        """Such as `probabilities[17,2]`."""
        return f"{self.output}[{','.join(map(str, self.position))}]" if self.position else self.output


def largest_difference(library: Answer, compiled: Answer, allowance: Allowance = TREES) -> Difference:
    """Compare all outputs of two answers to the same rows."""
    unsure = _unsure(library, allowance)
    found = [
        _largest(name, values, compiled[name], _allowed(name, values, allowance), unsure)
        for name, values in library.items()
    ]
    return max(found, key=lambda each: each.share)


def _unsure(answer: Answer, allowance: Allowance) -> np.ndarray | None:
    """Rows of which the library itself could as well say another label."""
    probabilities = answer.get("probabilities")
    if probabilities is None or probabilities.ndim != 2 or probabilities.shape[1] < 2:  # noqa: PLR2004 - a class each
        return None
    first, second = np.sort(probabilities, axis=1)[:, :-3:-1].T
    return first - second < allowance.tolerance


def _largest(
    name: str, library: np.ndarray, compiled: np.ndarray, allowed: np.ndarray, unsure: np.ndarray | None
) -> Difference:
    if library.shape != compiled.shape:
        shapes = (str(list(library.shape)), str(list(compiled.shape)))
        return Difference(f"the shape of {name}", (), *shapes, np.inf, 0.0)
    if library.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            size = np.abs(library.astype(float) - compiled.astype(float))
        same = (library == compiled) | (np.isnan(library) & np.isnan(compiled))
        size = np.where(same, 0.0, np.where(np.isnan(size), np.inf, size))
    else:
        size = np.where(library == compiled, 0.0, np.inf)
        if unsure is not None and size.ndim == 1:
            size[unsure] = 0.0
    excess = np.divide(size, allowed, out=np.where(size > 0, np.inf, 0.0), where=allowed > 0)
    position = tuple(int(each) for each in np.unravel_index(np.argmax(excess), excess.shape))
    at = (library[position], compiled[position], size[position], allowed[position])
    return Difference(name, position, _plain(at[0]), _plain(at[1]), float(at[2]), float(at[3]))


def _allowed(name: str, library: np.ndarray, allowance: Allowance) -> np.ndarray:
    if library.dtype.kind != "f":
        return np.zeros(library.shape)
    if name == "probabilities":
        return np.full(library.shape, allowance.tolerance)
    sizes = np.abs(np.where(np.isfinite(library), library, 0)).astype(float)
    scales = np.maximum(sizes, np.median(sizes))
    if allowance.of_row and library.ndim > 1:
        scales = np.maximum(scales, sizes.max(axis=tuple(range(1, library.ndim)), keepdims=True))
    return allowance.tolerance * scales


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value

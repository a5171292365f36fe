"""A model that is compiled to ONNX while its image is built."""

from __future__ import annotations

from typing import TypeGuard

from services.builder.domain.failure import BuildError
from so1s.events.event import Value
from so1s.events.model import COMPILABLE, Compilable, Format, Optimization


class Compilation(Value):
    """What was compiled, as the compiler tells it."""

    library: str
    """Whose model it was: `scikit-learn 1.9.1`."""
    compiler: str
    """What wrote the ONNX: `skl2onnx 1.20.0`."""
    rows: int
    """That both answered."""
    sample_rows: int
    """How many of them were the author's."""
    difference: float
    """The largest between two answers, by what is allowed at its place."""
    place: str
    """Where it was, such as `probabilities[17,2]`."""

    def __str__(self) -> str:
        """As the log of a build tells it."""
        of_sample = f", {self.sample_rows} of them the sample's" if self.sample_rows else ""
        differ = (
            f"differ by {self.difference:.1e} at most, in {self.place}" if self.difference else "are equal"
        )
        return (
            f"compiled to ONNX by {self.compiler}: its answers to {self.rows} rows{of_sample} and "
            f"those of {self.library} {differ}"
        )


def to_compile(model_format: Format, optimize: Optimization | None) -> Compilable | None:
    """The format to compile; None where the model is served by its own library.

    Raises:
        BuildError: it is asked for, and this format cannot be compiled.
    """
    if optimize != "onnx":
        return None
    if not _is_compilable(model_format):
        allowed = f"nothing for a model of {model_format}; those of {', '.join(COMPILABLE)} are compiled"
        raise BuildError.of("format", "optimize", optimize, allowed)
    return model_format


def _is_compilable(model_format: Format) -> TypeGuard[Compilable]:
    return model_format in COMPILABLE

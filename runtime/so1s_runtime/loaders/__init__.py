"""One module per model format.

A loader imports its library inside its functions, so that an image holds only the one that its model needs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from so1s_runtime.manifest import FORMATS, Signature

# Inputs by name, names of the wanted outputs → outputs in that order. Called from several threads at once.
# Inputs are arrays, but for those that are declared with another type.
Predictor = Callable[[Mapping[str, Any], Sequence[str]], Sequence[Any]]


class Loader(Protocol):
    """Reads one model format."""

    # What the Open Inference Protocol calls the platform.
    PLATFORM: str

    # Whether a call does no I/O and runs no user code, so that its time depends on the size of its input. The
    # server may then answer quick calls on its event loop, which saves two thread switches a request.
    STEADY: bool

    def inspect(self, path: Path) -> Signature:
        """What goes in and out, as the model file itself tells. Raises ModelError if it is no such model."""
        ...

    def load(self, path: Path, threads: int) -> Predictor:
        """A predictor that uses `threads` threads a call. Raises ModelError if it is no such model."""
        ...


def loader(name: str) -> Loader:
    """The loader of a format, one of `manifest.FORMATS`."""
    assert name in FORMATS, name
    return cast("Loader", import_module(f"so1s_runtime.loaders.{name}"))


@dataclass(frozen=True, slots=True)
class Takes:
    """What the models of a format are called with, where an input is declared with a type of its own.

    A loader says so by `VALUES` and `PANDAS`; one that says nothing takes arrays alone.
    """

    # They are code that takes and gives any value: texts, bytes, JSON.
    values: bool
    # Dataframes and series are pandas' own.
    pandas: bool


def takes(name: str) -> Takes:
    """What the models of a format are called with."""
    found = loader(name)
    return Takes(getattr(found, "VALUES", False), getattr(found, "PANDAS", False))

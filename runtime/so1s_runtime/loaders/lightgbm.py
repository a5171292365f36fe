"""LightGBM models in its text format: data alone, unlike a pickle of the Python object."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.loaders.answers import Meaning, classes, label_alone, outputs_of, pick
from so1s_runtime.manifest import Signature, TensorSpec

if TYPE_CHECKING:
    from lightgbm import Booster

PLATFORM = "lightgbm"
STEADY = True

# The objectives whose answer is a probability; of any other one, the answer itself is the label.
PROBABILITIES = ("binary", "multiclass", "multiclassova")

_HEADER_BYTES = 1024 * 1024


def inspect(path: Path) -> Signature:
    """Input `x` of all features; a classifier gives `label` and `probabilities`, any other model `label`.

    They are what `LGBMClassifier` and `LGBMRegressor` answer: a class is its index.
    """
    booster = _booster(path)
    features = booster.num_feature()
    answer = _meaning(path)(_predicted(booster, np.zeros((2, features)), threads=1))
    return Signature((TensorSpec("x", DTYPES["float64"], (-1, features)),), outputs_of(answer))


def load(path: Path, threads: int) -> Predictor:
    """A predictor that hands its one input, whatever its name, to the trees."""
    booster, meaning = _booster(path), _meaning(path)

    def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[Any]:
        (rows,) = inputs.values()
        return pick(meaning(_predicted(booster, rows, threads)), outputs)

    return predict


def _predicted(booster: "Booster", rows: np.ndarray, threads: int) -> np.ndarray:
    return np.asarray(booster.predict(rows, num_threads=threads))


def _booster(path: Path) -> "Booster":
    import lightgbm

    try:
        return lightgbm.Booster(model_file=path)
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        message = f"{path.name} is no model that LightGBM {lightgbm.__version__} reads: {error}"
        raise ModelError(message) from error


def _meaning(path: Path) -> Meaning:
    """What the answers are, as the line `objective=binary sigmoid:1` of the file's header says."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).decode(errors="replace").splitlines()
    said = next((line for line in header if line.startswith("objective=")), "objective=")
    objective = said.removeprefix("objective=").partition(" ")[0]
    return classes if objective in PROBABILITIES else label_alone

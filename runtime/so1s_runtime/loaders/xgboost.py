"""XGBoost models, in its JSON and UBJSON: data alone, unlike a pickle of the Python object."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from so1s_runtime import gpu
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.loaders.answers import Answer, classes, label_alone, outputs_of, pick
from so1s_runtime.manifest import Signature, TensorSpec

if TYPE_CHECKING:
    from xgboost import Booster

PLATFORM = "xgboost"
STEADY = True

# The objectives whose answer is a probability; of any other one, the answer itself is the label.
PROBABILITIES = ("binary:logistic", "multi:softprob")


def inspect(path: Path) -> Signature:
    """Input `x` of all features; a classifier gives `label` and `probabilities`, any other model `label`.

    They are what `XGBClassifier` and `XGBRegressor` answer: a class is its index.
    """
    booster = read_booster(path, threads=1)
    features = booster.num_features()
    answer = _answer(booster)(np.zeros((2, features), np.float32))
    return Signature((TensorSpec("x", DTYPES["float32"], (-1, features)),), outputs_of(answer))


def load(path: Path, threads: int) -> Predictor:
    """A predictor that hands its one input, whatever its name, to the trees.

    They are on the GPU that this process sees, where the package has CUDA. A linear model stays on the CPU.
    """
    import xgboost

    booster = read_booster(path, threads)
    if xgboost.build_info()["USE_CUDA"] and gpu.used() and not _is_linear(_configuration(booster)):
        booster.set_param({"device": "cuda"})
    answer = _answer(booster)

    def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[Any]:
        (rows,) = inputs.values()
        return pick(answer(rows), outputs)

    return predict


def read_booster(path: Path, threads: int) -> "Booster":
    """The model of a file. Raises ModelError if it is none."""
    import xgboost

    xgboost.set_config(verbosity=0)
    try:
        return xgboost.Booster({"nthread": threads}, model_file=path)
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{path.name} is no model that XGBoost {xgboost.__version__} reads: {said}"
        ) from error


def _answer(booster: "Booster") -> Callable[[np.ndarray], Answer]:
    configuration = _configuration(booster)
    meaning = classes if configuration["objective"]["name"] in PROBABILITIES else label_alone
    trees = (0, booster.best_iteration + 1) if booster.attr("best_iteration") else (0, 0)
    if _is_linear(configuration):
        return lambda rows: meaning(_of_matrix(booster, rows))
    return lambda rows: meaning(
        # Fitted on a DataFrame, served with plain rows: the order of the columns is the contract.
        booster.inplace_predict(rows, iteration_range=trees, validate_features=False)
    )


def _configuration(booster: "Booster") -> dict[str, Any]:
    return json.loads(booster.save_config())["learner"]


def _is_linear(configuration: dict[str, Any]) -> bool:
    return configuration["gradient_booster"]["name"] == "gblinear"


def _of_matrix(booster: "Booster", rows: np.ndarray) -> np.ndarray:
    """A linear model takes no plain rows."""
    import xgboost

    return booster.predict(xgboost.DMatrix(rows), validate_features=False)

"""scikit-learn models in the skops format: no code runs when they are read, unlike with pickle."""

import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.manifest import Signature, TensorSpec

PLATFORM = "sklearn_skops"
STEADY = True
VALUES = False

_LIBRARIES = ("numpy", "scipy", "sklearn")

# Functions that fitted estimators hold. Any other function could be made to read files or run code.
_FUNCTION_MODULES = ("sklearn.cluster.", "sklearn.feature_selection.", "sklearn.metrics.")

# Output name → the estimator's method.
_METHODS = {"label": "predict", "probabilities": "predict_proba"}


def inspect(path: Path) -> Signature:
    """Input `x` of all features; output `label` of `predict` and, where there is one, `probabilities`.

    The outputs' types are seen in the answer to two rows of zeros.
    """
    model = _estimator(path)
    features = model.n_features_in_
    rows = np.zeros((2, features))
    try:
        answers = {name: method(rows) for name, method in _methods(model).items()}
    except Exception as error:
        raise ModelError(
            f"cannot find the signature of {path.name}, so it must be declared: {error}"
        ) from error
    outputs = (_spec(name, answer) for name, answer in answers.items() if isinstance(answer, np.ndarray))
    return Signature((TensorSpec("x", DTYPES["float64"], (-1, features)),), tuple(outputs))


def load(path: Path, threads: int) -> Predictor:
    """A predictor that hands its one input, whatever its name, to the estimator's methods."""
    model = _estimator(path)
    _limit_threads(model, threads)
    methods = _methods(model)

    def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[Any]:
        (rows,) = inputs.values()
        return [methods[name](rows) for name in outputs]

    return predict


def _estimator(path: Path) -> Any:
    import skops.io

    # Fitted on a DataFrame, served with plain rows: the order of the columns is the contract.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    try:
        reported = skops.io.get_untrusted_types(file=path)
        refused = [name for name in reported if not _is_trusted(name)]
        if refused:
            raise ModelError(f"{path.name} holds types that are not trusted: {', '.join(refused)}")
        model = skops.io.load(path, trusted=reported)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ImportError,
        OSError,
        zipfile.BadZipFile,
    ) as error:
        raise ModelError(f"{path.name} is no skops file that this version reads: {error}") from error
    if not hasattr(model, "predict"):
        raise ModelError(f"{path.name} holds a {type(model).__name__}, which cannot predict")
    return model


def _is_trusted(name: str) -> bool:
    """Whether a type that skops does not know may be loaded: a class of the three libraries, or a scorer."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] not in _LIBRARIES or "test" in module:
        return False
    try:
        value = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(value, type) or name.startswith(_FUNCTION_MODULES)


def _methods(model: Any) -> dict[str, Callable[[np.ndarray], Any]]:
    return {name: getattr(model, method) for name, method in _METHODS.items() if hasattr(model, method)}


def _spec(name: str, answer: np.ndarray) -> TensorSpec:
    dtype = "string" if answer.dtype.kind in "UO" else answer.dtype.name
    return TensorSpec(name, DTYPES[dtype], (-1, *answer.shape[1:]))


def _limit_threads(model: Any, threads: int) -> None:
    """An ensemble fitted with n_jobs=-1 would start a pool of threads for every request."""
    parameters = [name for name in model.get_params() if name.rpartition("__")[2] == "n_jobs"]
    model.set_params(**dict.fromkeys(parameters, threads))

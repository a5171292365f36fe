"""What scikit-learn's estimators take and answer, however their file was written."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.manifest import Signature, TensorSpec

# Output name → the estimator's method.
_METHODS = {"label": "predict", "probabilities": "predict_proba"}


_SHOWN_COLUMNS = 30


def take_plain_rows() -> None:
    """Fitted on a DataFrame, served with plain rows: the order of the columns is the contract."""
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    warnings.filterwarnings("ignore", message="X has feature names")  # the other way round


def require_predict(model: Any, file: str) -> None:
    """Raise ModelError for what is no classifier, regressor or the like."""
    if not hasattr(model, "predict"):
        raise ModelError(f"{file} holds a {type(model).__name__}, which cannot predict")


def signature_of(model: Any, file: str) -> Signature:
    """Input `x` of all features; output `label` of `predict` and, where there is one, `probabilities`.

    The outputs' types are seen in the answer to two rows of zeros. Raises ModelError.
    """
    try:
        features = model.n_features_in_
        rows = np.zeros((2, features))
        answers = {name: method(rows) for name, method in _methods(model).items()}
    except Exception as error:
        message = (
            f"cannot find the signature of {file}, so it must be declared: {error}{_named_columns(model)}"
        )
        raise ModelError(message) from error
    outputs = (_spec(name, answer) for name, answer in answers.items() if isinstance(answer, np.ndarray))
    return Signature((TensorSpec("x", DTYPES["float64"], (-1, features)),), tuple(outputs))


def _named_columns(model: Any) -> str:
    """How to declare the rows of an estimator that asks for columns by their names."""
    names = list(getattr(model, "feature_names_in_", ()))
    if not names:
        return ""
    columns = [f"{{name: {json.dumps(str(name))}, dtype: …}}" for name in names[:_SHOWN_COLUMNS]]
    said = ", ".join(columns) + (", …" if len(names) > _SHOWN_COLUMNS else "")
    return (
        f". It was fitted on named columns; so so1s.yaml may say inputs: [{{name: rows, type: dataframe, "
        f"columns: [{said}]}}], each with its dtype (float64, string, …), outputs: "
        "[{name: label, dtype: …, shape: [-1]}], and rows of yours as sample: sample.json, to try it with"
    )


def predictor(model: Any, threads: int) -> Predictor:
    """Hands its one input, whatever its name, to the estimator's methods."""
    _limit_threads(model, threads)
    methods = _methods(model)

    def predict(inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        (rows,) = inputs.values()
        return [methods[name](rows) for name in outputs]

    return predict


def _methods(model: Any) -> dict[str, Callable[[np.ndarray], Any]]:
    return {name: getattr(model, method) for name, method in _METHODS.items() if hasattr(model, method)}


def _spec(name: str, answer: np.ndarray) -> TensorSpec:
    dtype = "string" if answer.dtype.kind in "UO" else answer.dtype.name
    return TensorSpec(name, DTYPES[dtype], (-1, *answer.shape[1:]))


def _limit_threads(model: Any, threads: int) -> None:
    """An ensemble fitted with n_jobs=-1 would start a pool of threads for every request."""
    parameters = [name for name in model.get_params() if name.rpartition("__")[2] == "n_jobs"]
    model.set_params(**dict.fromkeys(parameters, threads))

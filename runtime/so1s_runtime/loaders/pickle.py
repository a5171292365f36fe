"""scikit-learn models as pickle or joblib wrote them. To read one is to run its author's code."""

import warnings
from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor, estimators
from so1s_runtime.manifest import Signature

PLATFORM = "sklearn_pickle"
STEADY = False  # whose code it is nobody knows
PANDAS = True


def inspect(path: Path) -> Signature:
    """As an estimator tells it: see `estimators.signature_of`."""
    return estimators.signature_of(_estimator(path), path.name)


def load(path: Path, threads: int) -> Predictor:
    """A predictor that hands its one input, whatever its name, to the estimator's methods."""
    return estimators.predictor(_estimator(path), threads)


def _estimator(path: Path) -> Any:
    model = _read(path)
    estimators.require_predict(model, path.name)
    return model


def _read(path: Path) -> Any:
    """The object in a file. Raises ModelError, also where another version of scikit-learn wrote it."""
    import joblib
    import sklearn
    from sklearn.exceptions import InconsistentVersionWarning

    estimators.take_plain_rows()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(path)
    except InconsistentVersionWarning as error:
        wrote = error.original_sklearn_version
        raise ModelError(
            f"{path.name} was written by scikit-learn {wrote}, and scikit-learn {sklearn.__version__} may "
            f"answer otherwise: say scikit-learn=={wrote} in requirements.txt, or write it anew"
        ) from error
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path.name} needs what is not in this image: {error}. Packages can be said in "
            "requirements.txt; with code of its own, a model is a prepared.py"
        ) from error
    except BaseException as error:
        raise ModelError(
            f"{path.name} is no pickle that this version reads: {type(error).__name__}: {error}"
        ) from error

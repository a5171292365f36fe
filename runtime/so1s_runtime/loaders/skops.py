"""scikit-learn models in the skops format: no code runs when they are read, unlike with pickle."""

import zipfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.loaders import Predictor, deferred, estimators
from so1s_runtime.manifest import Signature

PLATFORM = "sklearn_skops"
STEADY = True
PANDAS = True

_LIBRARIES = ("numpy", "scipy", "sklearn")

# Functions that fitted estimators hold. Any other function could be made to read files or run code.
_FUNCTION_MODULES = ("sklearn.cluster.", "sklearn.feature_selection.", "sklearn.metrics.")


def inspect(path: Path) -> Signature:
    """As an estimator tells it: see `estimators.signature_of`."""
    return estimators.signature_of(estimator(path), path.name)


def load(path: Path, threads: int) -> Predictor:
    """A predictor that hands its one input, whatever its name, to the estimator's methods.

    Once it has answered, as in the warm-up, it raises RequestError for rows that the estimator refuses: all
    of its code is the libraries', so it is the values that it does not take, such as an unknown category.
    """
    predict = estimators.predictor(estimator(path), threads)
    has_answered = False

    def refusing(inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:
        nonlocal has_answered
        try:
            answer = predict(inputs, outputs)
        except ValueError as error:
            if not has_answered:
                raise
            said = str(error).partition("\n")[0]  # what follows is advice to who fits the model
            message = f"the model does not take these values: {said}"
            raise RequestError(message, field=next(iter(inputs))) from None
        has_answered = True
        return answer

    return refusing


def estimator(path: Path) -> Any:
    """The model of a file. Raises ModelError if it is none, or holds what is not trusted."""
    skops_io = _skops_io()
    estimators.take_plain_rows()
    try:
        reported = skops_io.get_untrusted_types(file=path)
        refused = [name for name in reported if not _is_trusted(name)]
        if refused:
            way = "a model with code of its own is served by a prepared.py"
            raise ModelError(f"{path.name} holds types that are not trusted: {', '.join(refused)}; {way}")
        model = skops_io.load(path, trusted=reported)
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
    estimators.require_predict(model, path.name)
    return model


def _skops_io() -> Any:
    """`skops.io`, without what it and scikit-learn import beyond what a prediction needs.

    Its walk through all of scikit-learn for the names of all estimators says which classes are trusted; here
    `_is_trusted` says it of those alone that the file names. It looks for the home of NumPy's and SciPy's
    functions in each imported module in turn, so these two are imported before others.
    """
    deferred.install()
    import_module("scipy.special")
    utils: Any = import_module("sklearn.utils")
    walk, utils.all_estimators = utils.all_estimators, list
    try:
        import skops.io
    finally:
        utils.all_estimators = walk
    return skops.io


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

"""TensorFlow, imported as a server wants it, and its tensors as ours.

Importing this module imports TensorFlow, so loaders do so inside their functions.
"""

# ruff: noqa: E402 - what is set here is read by the imports below

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Both are read as TensorFlow and Keras are imported: errors alone are logged, and Keras runs on TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

# TensorFlow asks for it as it is imported, and would fail where nothing can be written. It writes nothing.
tempfile.tempdir = tempfile.tempdir or "/tmp"  # noqa: S108 - a name alone

import numpy as np
import tensorflow as tf

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.manifest import TensorSpec

Function = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def import_keras() -> Any:
    """Keras, which runs on TensorFlow here."""
    import keras

    return keras


def use_threads(threads: int) -> None:
    """Let a call use so many threads; another number is refused once TensorFlow has computed."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def spec_of(name: str, dtype: str, shape: Sequence[int | None] | None) -> TensorSpec:
    """An input or output in our words; an unknown length is -1. Raises ModelError for what is not served."""
    if dtype not in DTYPES:
        raise ModelError(f"{name!r} has type {dtype}; only tensors of {', '.join(DTYPES)} are served")
    if shape is None:
        raise ModelError(f"{name!r} may have any number of dimensions, so the signature must be declared")
    return TensorSpec(name, DTYPES[dtype], tuple(-1 if length is None else length for length in shape))


def predictor(
    function: Function, inputs: Mapping[str, Any]
) -> Callable[[Mapping[str, np.ndarray], Sequence[str]], list[np.ndarray]]:
    """What calls a function of tensors by name with arrays by name.

    Args:
        function: takes and gives tensors by name.
        inputs: name to TensorFlow's type of each input; one alone is given whatever its declared name is.
    """
    (sole,) = inputs if len(inputs) == 1 else (None,)

    def predict(given: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        named = {sole or name: array for name, array in given.items()}
        answer = function({name: tf.constant(array, inputs[name]) for name, array in named.items()})
        return [_array(answer[name]) for name in outputs]

    return predict


def _array(tensor: Any) -> np.ndarray:
    """A tensor's values; TensorFlow keeps strings as UTF-8."""
    array = tensor.numpy()
    if tensor.dtype != tf.string:
        return array
    texts = [text.decode(errors="replace") for text in np.ravel(array)]
    return np.array(texts, dtype=object).reshape(np.shape(array))

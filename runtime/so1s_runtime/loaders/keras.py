"""Keras models in the `.keras` format of Keras 3, run on TensorFlow.

Read in Keras' safe mode: a layer that holds Python code, such as a Lambda, is refused.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.manifest import Signature, TensorSpec

PLATFORM = "tensorflow_keras"
STEADY = False  # TensorFlow computes on threads of its own

# Names that Keras makes up: they count on through a process, so that the next version would have others.
_MADE_UP_INPUT = re.compile(r"(keras_tensor|input_layer)(_\d+)?")


def inspect(path: Path) -> Signature:
    """The names, types and shapes of the model's inputs and outputs.

    A dictionary's keys are names. Otherwise an input bears the name that its author gave it, or `x`; an
    output bears the name that its author gave its layer, or `output_0`, as in a SavedModel.
    """
    from so1s_runtime.loaders.tensorflow_library import use_threads

    use_threads(1)
    model = read_model(path)
    return Signature(_specs(model.inputs, input_names(model)), _specs(model.outputs, output_names(model)))


def load(path: Path, threads: int) -> Predictor:
    """A predictor over one graph, traced once."""
    from so1s_runtime.loaders.tensorflow_library import predictor, tf, use_threads

    use_threads(threads)
    model = read_model(path)
    names, answers = input_names(model), output_names(model)
    types = dict(zip(names, (tensor.dtype for tensor in model.inputs), strict=True))

    @tf.function(reduce_retracing=True)
    def call(tensors: Mapping[str, Any]) -> dict[str, Any]:
        values = [tensors[name] for name in names]
        answer = model(packed(model, values), training=False)
        return dict(zip(answers, tf.nest.flatten(answer), strict=True))

    return predictor(call, types)


def read_model(path: Path) -> Any:
    """The model of a file. Raises ModelError if Keras does not read it in safe mode."""
    keras = _keras()
    if path.suffix != ".keras":
        raise ModelError(f"{path.name} must be called so that it ends with .keras: Keras reads no other name")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its parts raise, without a common parent
        said = str(error).rpartition("Exception encountered:")[2].strip().split("\n\n")[0]
        raise ModelError(
            f"{path.name} is no model that Keras {keras.__version__} reads in safe mode: {said}"
        ) from error
    if not getattr(model, "inputs", None):
        raise ModelError(f"{path.name} does not say its inputs: give the model a keras.Input, then save it")
    return model


def packed(model: Any, values: list[Any]) -> Any:
    """Tensors in the structure that the model takes; a Sequential takes one alone."""
    keras = _keras()
    if isinstance(model, keras.Sequential):
        return values[0]
    return keras.tree.pack_sequence_as(model.input, values)


def input_names(model: Any) -> list[str]:
    """What its inputs are called, in the order of `model.inputs`."""
    names = _keys(model, "input") or [tensor.name for tensor in model.inputs]
    if len(names) == 1:
        return ["x"] if _MADE_UP_INPUT.fullmatch(names[0]) else names
    return [f"x_{index}" if _MADE_UP_INPUT.fullmatch(name) else name for index, name in enumerate(names)]


def output_names(model: Any) -> list[str]:
    """What its outputs are called, in the order of `model.outputs`."""
    layers = [tensor._keras_history.operation for tensor in model.outputs]  # noqa: SLF001 - where it comes from, nowhere else
    names = [layer.name for layer in layers]
    return _keys(model, "output") or [
        f"output_{index}" if _is_made_up(layer) or names.count(layer.name) > 1 else layer.name
        for index, layer in enumerate(layers)
    ]


def _keys(model: Any, which: str) -> list[str] | None:
    """The keys of a dictionary of tensors, in the order that Keras has; a Sequential has none."""
    structure = None if isinstance(model, _keras().Sequential) else getattr(model, which)
    is_flat = isinstance(structure, dict) and len(structure) == len(getattr(model, f"{which}s"))
    return sorted(structure) if isinstance(structure, dict) and is_flat else None


def _is_made_up(layer: Any) -> bool:
    """Whether a layer is called by its class and a number that counts on: `dense_17`."""
    return re.sub(r"_\d+$", "", layer.name).replace("_", "") == type(layer).__name__.lower()


def _keras() -> Any:
    from so1s_runtime.loaders.tensorflow_library import import_keras

    return import_keras()


def _specs(tensors: Iterable[Any], names: Iterable[str]) -> tuple[TensorSpec, ...]:
    from so1s_runtime.loaders.tensorflow_library import spec_of

    return tuple(
        spec_of(name, tensor.dtype, tensor.shape) for name, tensor in zip(names, tensors, strict=True)
    )

"""PyTorch as a server wants it, and its tensors as ours.

Importing this module imports PyTorch, so loaders do so inside their functions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.manifest import TensorSpec


def device() -> str:
    """Where models run: on the GPU that this process sees, else on the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def spec_of(name: str, value: Any) -> TensorSpec:
    """A tensor in our words; a length that is a symbol is -1. Raises ModelError for what is not served."""
    if not isinstance(value, torch.Tensor):
        raise ModelError(f"{name!r} is a {type(value).__name__}; only tensors are served")
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise ModelError(f"{name!r} has type {dtype}; only tensors of {', '.join(DTYPES)} are served")
    lengths = (length if isinstance(length, int) else -1 for length in value.shape)
    return TensorSpec(name, DTYPES[dtype], tuple(lengths))


def predictor(call: Callable[..., Any], names: Sequence[str], threads: int) -> Predictor:
    """What calls a function of tensors, in the order of `names`, with arrays by name.

    One input alone is taken whatever its declared name is, and so is one output.
    """
    torch.set_num_threads(threads)
    where = device()

    def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        given = list(inputs.values()) if len(names) == 1 else [inputs[name] for name in names]
        with torch.inference_mode():
            answer = call(*(_tensor(array).to(where) for array in given))
        if isinstance(answer, torch.Tensor):
            return [_array(answer)] * len(outputs)
        named = _named(answer)
        return [_array(_picked(named, name)) for name in outputs]

    return predict


def output_names(answer: Any) -> list[str]:
    """What the parts of an answer are called: its keys or its fields, or else `output_0` and so on."""
    return ["output_0"] if isinstance(answer, torch.Tensor) else list(_named(answer))


def _named(answer: Any) -> Mapping[str, Any]:
    if isinstance(answer, Mapping):
        return answer
    if hasattr(answer, "_asdict"):
        return answer._asdict()
    if isinstance(answer, Iterable):
        return {f"output_{index}": value for index, value in enumerate(answer)}
    raise ModelError(f"the model answers a {type(answer).__name__}; only tensors are served")


def _picked(named: Mapping[str, Any], name: str) -> torch.Tensor:
    value = named.get(name)
    if not isinstance(value, torch.Tensor):
        raise ModelError(f"the model gives no tensor {name!r}; it gives {', '.join(map(str, named))}")
    return value


def _tensor(array: np.ndarray) -> torch.Tensor:
    if array.dtype.hasobject:
        raise ModelError("PyTorch has no tensors of strings")
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _array(tensor: torch.Tensor) -> np.ndarray:
    """NumPy has no bfloat16: every value of it is a float32."""
    plain = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return plain.detach().cpu().numpy()

"""ONNX models, run by onnxruntime: on the GPU that is seen where its package has CUDA, else on the CPU."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from so1s_runtime import gpu
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.logs import log
from so1s_runtime.manifest import Signature, TensorSpec

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg

PLATFORM = "onnxruntime_onnx"
STEADY = True

# ONNX's names of element types that differ from NumPy's.
_ELEMENT_TYPES = {"float16": "float16", "float": "float32", "double": "float64"}

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

# What scikit-learn converters give as probabilities by default: per row a map of class to probability.
_CLASS_MAPS = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")


def inspect(path: Path) -> Signature:
    """The signature that the graph declares; a symbolic or unknown length is -1."""
    session = _session(path, threads=1, serve=False)
    return Signature(tuple(map(_spec, session.get_inputs())), tuple(map(_spec, session.get_outputs())))


def load(path: Path, threads: int) -> Predictor:
    """A predictor over one session, which is safe to share between threads."""
    session = _session(path, threads=threads, serve=True)
    class_maps = {output.name for output in session.get_outputs() if output.type in _CLASS_MAPS}
    run = session.run
    # It looks for missing inputs, which none is here, and may turn from a GPU to the CPU. A small model takes
    # little longer than that, so that on the CPU the session within is called.
    inner = getattr(session, "_sess", None)
    if inner and session.get_providers() == [_CPU]:
        run = inner.run

    def predict(inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Sequence[Any]:
        values = run(outputs, inputs, None)
        if not class_maps:
            return values
        return [
            _class_columns(value) if name in class_maps else value
            for name, value in zip(outputs, values, strict=True)
        ]

    return predict


def _session(path: Path, *, threads: int, serve: bool) -> "InferenceSession":
    import onnxruntime as ort

    ort.disable_telemetry_events()
    ort.set_default_logger_severity(3)  # errors
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread takes a core from the server and from the neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not serve:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    providers = _providers() if serve else [_CPU]
    try:
        session = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # onnxruntime raises a dozen types without a common parent
        raise ModelError(
            f"{path.name} is no ONNX model that onnxruntime {ort.__version__} runs: {error}"
        ) from error
    if len(providers) > 1 and _CUDA not in session.get_providers():
        log(logging.WARNING, "onnxruntime cannot use the GPU: the model runs on the CPU")
    return session


def _providers() -> list[Any]:
    """What may compute, the preferred one first."""
    import onnxruntime as ort

    if _CUDA not in ort.get_available_providers() or not gpu.used():
        return [_CPU]
    if preload := getattr(ort, "preload_dlls", None):
        preload()  # CUDA's libraries are packages beside it, where no dynamic linker looks
    # With TF32, 10 bits of a float32's 23 would be computed with: answers were other ones than the CPU's.
    return [(_CUDA, {"use_tf32": "0"}), _CPU]


def _spec(node: "NodeArg") -> TensorSpec:
    if node.type in _CLASS_MAPS:
        return TensorSpec(node.name, DTYPES["float32"], (-1, -1))
    element = node.type.removeprefix("tensor(").removesuffix(")")
    dtype = DTYPES.get(_ELEMENT_TYPES.get(element, element))
    if dtype is None:
        raise ModelError(
            f"{node.name!r} has type {node.type}; only tensors of {', '.join(DTYPES)} are served"
        )
    lengths = (length if isinstance(length, int) and length >= 1 else -1 for length in node.shape)
    return TensorSpec(node.name, dtype, tuple(lengths))


def _class_columns(rows: Any) -> np.ndarray:
    """Rows of class → probability as a matrix; the columns keep the order of the model's classes."""
    return np.array([list(row.values()) for row in rows], dtype=np.float32)

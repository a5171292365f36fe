"""TensorFlow's SavedModels: the directory of `saved_model.pb`, asked by its signature `serving_default`.

A graph is a program, though without Python: one that could read or write files, or speak to the network, is
refused before it is loaded.
"""

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.manifest import Signature

PLATFORM = "tensorflow_savedmodel"
STEADY = False  # TensorFlow computes on threads of its own

_SIGNATURE = "serving_default"

# Operations by their names in TensorFlow's registry: files, data sets that read files, Python, the network.
_REACHES_OUT = re.compile(
    r"File|Reader|Dataset|PyFunc|Rpc|Remote|Summary|Event|Save|Restore|Remap|Checkpoint|Debug|Collective|Send|Recv"
)

# What every SavedModel holds to be loaded: variables by their paths in it, tables by its own assets.
_LOADING = frozenset(
    {
        "InitializeTableFromTextFileV2",
        "MergeV2Checkpoints",
        "RestoreV2",
        "SaveV2",
        "ShardedFilename",
    }
)


def inspect(path: Path) -> Signature:
    """The names, types and shapes that the signature `serving_default` declares."""
    from so1s_runtime.loaders.tensorflow_library import spec_of, use_threads

    use_threads(1)
    function = _serving(path)

    def specs(tensors: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(
            spec_of(name, tensor.dtype.name, None if tensor.shape.rank is None else tensor.shape.as_list())
            for name, tensor in sorted(tensors.items())
        )

    return Signature(specs(_inputs(function)), specs(function.structured_outputs))


def load(path: Path, threads: int) -> Predictor:
    """A predictor over the one signature."""
    from so1s_runtime.loaders.tensorflow_library import predictor, use_threads

    use_threads(threads)
    function = _serving(path)
    types = {name: tensor.dtype for name, tensor in _inputs(function).items()}
    return predictor(lambda tensors: function(**tensors), types)


def _serving(model: Path) -> Any:
    """The function of the signature, which holds on to its model, a directory or the main file in it."""
    from so1s_runtime.loaders.tensorflow_library import tf

    path = model / "saved_model.pb" if model.is_dir() else model
    _require_harmless(path)
    try:
        model = tf.saved_model.load(path.parent)
    except Exception as error:  # a dozen types without a common parent
        raise ModelError(
            f"{path.name} is no SavedModel that TensorFlow {tf.__version__} reads: {error}"
        ) from error
    if _SIGNATURE not in model.signatures:
        found = ", ".join(sorted(model.signatures)) or "none"
        raise ModelError(f"{path.name} has no signature {_SIGNATURE!r}; there is {found}")
    function = model.signatures[_SIGNATURE]
    _require_none(_reaching(function.graph.as_graph_def()), path)  # here, nothing is loaded any more
    function.its_model = model  # which holds the variables, and goes when nothing names it
    return function


def _require_harmless(path: Path) -> None:
    """Refuse a graph that reaches out of itself, wherever in it; loading runs some parts of it.

    Raises:
        ModelError: it does, or the file is no SavedModel.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own type, which no other module needs
        raise ModelError(f"{path.name} is no SavedModel: {error}") from error
    for meta_graph in saved.meta_graphs:
        _require_none(_reaching(meta_graph.graph_def) - _LOADING, path)


def _require_none(operations: set[str], path: Path) -> None:
    if operations:
        raise ModelError(
            f"{path.name} holds operations that reach out of the model: {', '.join(sorted(operations))}"
        )


def _reaching(graph: Any) -> set[str]:
    """The operations of a graph and its functions that reach out of it."""
    nodes = chain(graph.node, *(function.node_def for function in graph.library.function))
    return {node.op for node in nodes if _REACHES_OUT.search(node.op) or _prints_to_a_file(node)}


def _prints_to_a_file(node: Any) -> bool:
    return node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file:")


def _inputs(function: Any) -> Mapping[str, Any]:
    return function.structured_input_signature[1]

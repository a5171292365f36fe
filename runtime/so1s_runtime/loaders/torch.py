"""PyTorch's exported programs (`torch.export.save`, .pt2): a graph of operations with its tensors."""

from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.loaders.torch_archive import require_harmless_program
from so1s_runtime.manifest import Signature

PLATFORM = "pytorch_export"
STEADY = True


def inspect(path: Path) -> Signature:
    """The tensors that the program takes and gives; a dimension that was exported as dynamic is -1.

    An input bears the name of the argument. An output bears its key in a dictionary, or else is `output_0`.
    """
    from so1s_runtime.loaders.torch_library import spec_of

    program = read_program(path)
    nodes = {node.name: node.meta.get("val") for node in program.graph.nodes}
    answers = zip(output_names(program), program.graph_signature.user_outputs, strict=True)
    return Signature(
        tuple(spec_of(name, nodes.get(name)) for name in program.graph_signature.user_inputs),
        tuple(spec_of(name, nodes.get(node)) for name, node in answers),
    )


def load(path: Path, threads: int) -> Predictor:
    """A predictor over the program, on the GPU where this process sees one."""
    from torch.export.passes import move_to_device_pass

    from so1s_runtime.loaders.torch_library import device, predictor

    program = read_program(path)
    if device() != "cpu":
        program = move_to_device_pass(program, device())
    # Guards are code of the archive's; shapes were checked against the signature before.
    module = program.module(check_guards=False)

    def call(*tensors: Any) -> Any:
        arguments, keywords = _unflattened(list(tensors), program.call_spec.in_spec)
        return module(*arguments, **keywords)

    return predictor(call, program.graph_signature.user_inputs, threads)


def output_names(program: Any) -> list[str]:
    """What its outputs are called, in the order in which the program gives them."""
    from so1s_runtime.loaders import torch_library

    nodes = {node.name: node.meta.get("val") for node in program.graph.nodes}
    values = [nodes.get(name) for name in program.graph_signature.user_outputs]
    return torch_library.output_names(_unflattened(values, program.call_spec.out_spec))


def read_program(path: Path) -> Any:
    """The program of a file, which was looked at first. Raises ModelError if it is none that is served."""
    import torch

    try:
        require_harmless_program(path)
        return torch.export.load(path)
    except ModelError:
        raise
    except Exception as error:  # a dozen types without a common parent
        raise ModelError(
            f"{path.name} is no exported program that PyTorch {torch.__version__} reads: {error}"
        ) from error


def _unflattened(values: list[Any], structure: Any) -> Any:
    from torch.utils import _pytree

    return _pytree.tree_unflatten(values, structure)

"""PyTorch's exported programs to ONNX: https://docs.pytorch.org/docs/stable/onnx_export.html."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from onnx import ModelProto
from torch.onnx import export

from so1s_compiler.agreement import NETWORKS
from so1s_compiler.errors import CannotCompile, first_line
from so1s_compiler.graph import Way
from so1s_compiler.network import cannot, served
from so1s_runtime.loaders.torch import output_names, read_program
from so1s_runtime.manifest import Signature

ALLOWANCE = NETWORKS
LIBRARY, COMPILER = "torch", "onnxscript"

_OPERATION = re.compile(r"No ONNX function found for <OpOverload\(op='(?P<name>[\w.]+)'")


def ways(path: Path, signature: Signature) -> Iterator[Way]:
    """The one there is. Raises CannotCompile, which names the operation that has none."""
    yield partial(_translated, path, signature)


def _translated(path: Path, signature: Signature) -> ModelProto:
    program = read_program(path)
    try:
        written = export(program, dynamo=True, external_data=False, verbose=False).model_proto
        return served(
            written,
            signature,
            inputs=program.graph_signature.user_inputs,
            outputs=output_names(program),
            constants={},
        )
    except CannotCompile:
        raise
    except Exception as error:  # a dozen types without a common parent
        if found := _OPERATION.search(str(error)):
            raise cannot(found["name"]) from error
        raise CannotCompile(f"PyTorch's program cannot be compiled to ONNX: {first_line(error)}") from error

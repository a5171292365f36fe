"""TorchScript (`torch.jit.save`, .pt): PyTorch's older format, a program in a language of its own."""

from pathlib import Path
from typing import Any

from so1s_runtime.errors import ModelError
from so1s_runtime.loaders import Predictor
from so1s_runtime.loaders.torch_archive import require_harmless_graph, require_harmless_script
from so1s_runtime.manifest import Signature

PLATFORM = "pytorch_torchscript"
STEADY = True


def inspect(path: Path) -> Signature:
    """Raises ModelError with what to declare: TorchScript keeps neither types nor shapes."""
    names = _arguments(_module(path, "cpu"))
    inputs = ", ".join(f"{{name: {name}, dtype: float32, shape: [-1, 4]}}" for name in names)
    outputs = "{name: output_0, dtype: float32, shape: [-1, 3]}"
    raise ModelError(
        f"{path.name} does not say the types and shapes of its tensors: declare inputs and outputs in "
        f"so1s.yaml, such as `inputs: [{inputs}]` and `outputs: [{outputs}]`, "
        "or use torch.export.save, which keeps them"
    )


def load(path: Path, threads: int) -> Predictor:
    """A predictor over the module's `forward`, on the GPU where this process sees one."""
    from so1s_runtime.loaders.torch_library import device, predictor

    module = _module(path, device())
    return predictor(module, _arguments(module), threads)


def _module(path: Path, device: str) -> Any:
    import torch

    try:
        require_harmless_script(path)
        module = torch.jit.load(path, map_location=device).eval()
        require_harmless_graph(module.inlined_graph, path)
    except ModelError:
        raise
    except Exception as error:  # RuntimeError, most of the time, and others
        said = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{path.name} is no TorchScript that PyTorch {torch.__version__} reads: {said}"
        ) from error
    return module


def _arguments(module: Any) -> list[str]:
    """The names of what `forward` takes, without the module itself."""
    return [argument.name for argument in module.forward.schema.arguments[1:]]

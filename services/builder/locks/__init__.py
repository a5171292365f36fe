"""The libraries that serve and that compile each format, locked.

They are the very versions of the workspace's `uv.lock`, with their hashes.

`python -m services.builder.locks` writes them anew after `uv.lock` has changed. A lock file is what a layer
of libraries is made of and named by, so a change here gives every later image of the format a new layer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import uv

from services.builder.domain.lock import Lock
from so1s.events import Signature
from so1s.events.model import COMPILABLE, Compilable, Format

LOCKS = Path(__file__).parent
FORMATS: tuple[Format, ...] = get_args(Format)

Need = Literal["dataframe", "image"]
"""Libraries that an IO type takes, beside those of the format: an extra of the runtime by the same name."""

NEEDS: tuple[Need, ...] = get_args(Need)

OnGpu = Literal["onnx-gpu", "xgboost-gpu"]
"""Libraries that serve a format on a GPU, instead of those of the format: extras of the runtime alike."""

ON_GPU: tuple[OnGpu, ...] = get_args(OnGpu)

_ON_GPU: dict[Format, OnGpu] = {"onnx": "onnx-gpu", "xgboost": "xgboost-gpu"}

_NEEDS: dict[Need, tuple[set[str], tuple[Format, ...]]] = {
    "dataframe": ({"dataframe", "series"}, ("skops", "pickle")),
    "image": ({"image"}, FORMATS),
}
"""Which types have a need, in which formats. User code names pandas among its own requirements."""


def shipped(name: Format | OnGpu | Need) -> Lock:
    """The libraries that serve a format, or a need of its inputs and outputs."""
    return Lock(name, (LOCKS / f"{name}.txt").read_text())


def libraries_of(model_format: Format, gpus: int) -> Format | OnGpu:
    """What the libraries are called that serve a format in replicas which reserve so many GPUs.

    They are the format's own where these serve CPU and GPU, as PyTorch's do, and where none know a GPU.
    """
    return _ON_GPU.get(model_format, model_format) if gpus else model_format


def needs(model_format: Format, signature: Signature | None) -> list[Need]:
    """What a declared signature needs beside the libraries of the format."""
    types = {each.type for each in (*signature.inputs, *signature.outputs)} if signature else set()
    return [need for need, (of, formats) in _NEEDS.items() if types & of and model_format in formats]


def compiling(model_format: Compilable) -> Lock:
    """The libraries that compile a format to ONNX, and what that is held against."""
    name = f"{model_format}-to-onnx"
    return Lock(name, (LOCKS / f"{name}.txt").read_text())


def export(*names: Format | OnGpu | Need) -> str:
    """The lock file of these together, as the workspace's `uv.lock` has it; run it in the workspace."""
    return _exported("so1s-runtime", names)


def export_compiling(model_format: Compilable) -> str:
    """Likewise, of what compiles a format."""
    return _exported("so1s-compiler", [model_format])


def write() -> None:
    """Write all locks anew."""
    texts: dict[str, str] = {name: export(name) for name in (*FORMATS, *ON_GPU, *NEEDS)}
    texts |= {f"{name}-to-onnx": export_compiling(name) for name in COMPILABLE}
    for name, text in texts.items():
        (LOCKS / f"{name}.txt").write_text(text)


def _exported(package: str, extras: Iterable[str]) -> str:
    command = [
        uv.find_uv_bin(),
        *("export", "--quiet", "--frozen", "--package", package),
        *(word for name in extras for word in ("--extra", name)),
        *("--no-default-groups", "--no-emit-workspace", "--no-annotate", "--no-header"),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no input in it

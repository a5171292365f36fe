"""The source of the inference server, for images, and of the compiler beside it, for trying models."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from services.builder.bytecode import COMPILER_PROGRAM, compile_tree
from services.builder.domain.image import RUNTIME_ROOT
from services.builder.stop import Stop

_BYTECODE = "__pycache__"
RUNTIME, COMPILER = "so1s_runtime", "so1s_compiler"


def stage(directory: Path, python: Path, packages: Sequence[str] = (RUNTIME,)) -> Path:
    """Copy installed packages to a directory of their own, and return that.

    The directory is named by what is in it. Where a package is installed, others may lie beside it; here it
    is alone, and compiled for `python`.
    """
    sources = [_source(each) for each in packages]
    staged = directory.absolute() / _digest(sources, python)
    if not staged.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            copied = Path(temporary) / "copied"
            for source in sources:
                shutil.copytree(source, copied / source.name, ignore=shutil.ignore_patterns(_BYTECODE))
            compile_tree(Stop(), python, copied, RUNTIME_ROOT)
            _rename(copied, staged)
    return staged


def _source(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _digest(sources: Sequence[Path], python: Path) -> str:
    """Of all that is copied, and of what compiles it."""
    sha256 = hashlib.sha256(f"{python.resolve()}\n".encode() + COMPILER_PROGRAM.read_bytes())
    for source in sources:
        for path in sorted(source.rglob("*")):
            if path.is_file() and _BYTECODE not in path.parts:
                name = path.relative_to(source.parent)
                sha256.update(f"{name}\n{path.stat().st_size}\n".encode() + path.read_bytes())
    return sha256.hexdigest()


def _rename(copied: Path, staged: Path) -> None:
    try:
        copied.rename(staged)
    except OSError:
        if not staged.exists():  # else another builder was first
            raise

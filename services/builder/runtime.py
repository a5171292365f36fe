"""The inference server's source, as it goes into every image."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from services.builder.bytecode import compile_tree
from services.builder.domain.image import RUNTIME_ROOT
from services.builder.stop import Stop

_PACKAGE = "so1s_runtime"


def stage(directory: Path, python: Path) -> Path:
    """Copy the installed package `so1s_runtime` to a directory of its own, and return that.

    The directory is named by its content. Where the package is installed, others may lie beside it; here it
    is alone, and compiled for `python`.
    """
    source = _source()
    staged = directory.absolute() / _digest(source)
    if not staged.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            copied = Path(temporary) / "copied"
            shutil.copytree(source, copied / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
            compile_tree(Stop(), python, copied, RUNTIME_ROOT)
            _rename(copied, staged)
    return staged


def _source() -> Path:
    spec = find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _digest(source: Path) -> str:
    sha256 = hashlib.sha256()
    for path in sorted(source.rglob("*.py")):
        sha256.update(f"{path.relative_to(source)}\n{path.stat().st_size}\n".encode() + path.read_bytes())
    return sha256.hexdigest()


def _rename(copied: Path, staged: Path) -> None:
    try:
        copied.rename(staged)
    except OSError:
        if not staged.exists():  # else another builder was first
            raise

"""Asks a package's build backend, as PEP 517 has it.

    python backend.py ANSWER STEP

It runs in the directory of the source. STEP says what is written to the file descriptor ANSWER:

    requires  what pyproject.toml names as needed to build it, as a list in JSON; no code of the package runs
    more      what its backend names beside that, likewise
    wheel     a line with the name of the wheel's file, and its bytes
"""

import importlib
import json
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

_WITHOUT_PYPROJECT = {"requires": ["setuptools>=40.8.0"]}
"""PEP 517, of a source that says nothing."""
_LEGACY = "setuptools.build_meta:__legacy__"
_WHEEL = "/tmp/wheel"  # noqa: S108 - of the enclosure


def main(answer: int, step: str) -> None:
    """Write what the step asks for."""
    said = _build_system()
    with os.fdopen(answer, "wb") as file:
        if step == "requires":
            file.write(json.dumps(said["requires"]).encode())
        elif step == "more":
            more = getattr(_backend(said), "get_requires_for_build_wheel", lambda _settings: [])
            file.write(json.dumps(list(more(None))).encode())
        else:
            name = _backend(said).build_wheel(_WHEEL, None, None)
            file.write(f"{name}\n".encode())
            with Path(_WHEEL, name).open("rb") as wheel:
                shutil.copyfileobj(wheel, file)


def _build_system() -> dict[str, Any]:
    path = Path("pyproject.toml")
    said = tomllib.loads(path.read_text()) if path.exists() else {}
    found: dict[str, Any] = said.get("build-system", _WITHOUT_PYPROJECT)
    return found


def _backend(said: dict[str, Any]) -> Any:
    sys.path[:0] = [str(Path(each).absolute()) for each in said.get("backend-path", [])]
    module, _, names = said.get("build-backend", _LEGACY).partition(":")
    found: Any = importlib.import_module(module)
    for name in filter(None, names.split(".")):
        found = getattr(found, name)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

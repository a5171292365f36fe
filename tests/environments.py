"""Environments beside the checkout's, for programs whose dependencies fit nobody else's; they are kept."""

import subprocess
import sys
from pathlib import Path

import uv

_DIRECTORY = Path(".lab")
_INSTALL_SECONDS = 300


class MissingEnvironmentError(Exception):
    """What it should hold cannot be had here; the message is the reason."""


def environment(name: str, *packages: str) -> Path:
    """The interpreter of an environment that has these packages. Raises MissingEnvironmentError.

    Its name changes with what it should hold.
    """
    directory = _DIRECTORY.absolute() / name
    python, complete = directory / "bin" / "python", directory / "complete"
    if complete.exists():
        return python
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, directory],
        ["pip", "install", "--quiet", "--python", python, *packages],
    ):
        try:
            subprocess.run(
                [uv.find_uv_bin(), *command],
                check=True,
                capture_output=True,
                text=True,
                timeout=_INSTALL_SECONDS,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise MissingEnvironmentError(f"{name} cannot be installed: {error.stderr or error}") from error
    complete.touch()
    return python

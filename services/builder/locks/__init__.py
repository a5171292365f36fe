"""The libraries of each format, locked: the very versions of the workspace's `uv.lock`, with their hashes.

`python -m services.builder.locks` writes them anew after `uv.lock` has changed. A lock file is what a layer
of libraries is made of and named by, so a change here gives every later image of the format a new layer.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import get_args

import uv

from services.builder.domain.lock import Lock
from so1s.events.model import Format

LOCKS = Path(__file__).parent
FORMATS: tuple[Format, ...] = get_args(Format)


def shipped(model_format: Format) -> Lock:
    """The libraries that serve a format."""
    return Lock(model_format, (LOCKS / f"{model_format}.txt").read_text())


def export(model_format: Format) -> str:
    """The lock file of a format, as the workspace's `uv.lock` has it; run it in the workspace."""
    command = [
        uv.find_uv_bin(),
        *("export", "--quiet", "--frozen", "--package", "so1s-runtime", "--extra", model_format),
        *("--no-default-groups", "--no-emit-project", "--no-annotate", "--no-header"),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - no input in it

"""`python -m so1s_inspection.probe`: prints `it works` where a model can be enclosed, or else why not."""

import sys
from pathlib import Path

from . import enclosure
from .places import MODEL

_LIMITS = enclosure.Limits(memory_bytes=2**32, temporary_bytes=2**20, processes=8, processors=1, seconds=10)


def _look() -> None:
    if [path.name for path in Path(MODEL).iterdir()] == ["file"]:
        Path(MODEL, "file").read_bytes()
        print("it works", flush=True)  # noqa: T201 - the builder reads it


enclosure.become_nobody()
enclosure.run(_look, "model", _LIMITS, sys.stdout.fileno())

"""Checkpoints of Detectron2, told by their content: its file is a pickle, of which nothing is run."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import IO, cast

from so1s.formats.zips import BROKEN, MAGIC, Capped, inner_names, require_sound_machine

_PICKLED = "data.pkl"
"""What a file of PyTorch, which is an archive, holds beside its tensors."""
_LARGEST_PICKLE_BYTES = 1024 * 1024
"""Names and shapes alone, of some thousand tensors; larger ones are not looked at."""
_KEYS = {"model", "optimizer", "scheduler", "iteration"}
"""https://detectron2.readthedocs.io/en/latest/modules/checkpoint.html, and its trainers' hooks."""
_STRINGS = {"BINUNICODE", "SHORT_BINUNICODE"}


def is_checkpoint(path: Path) -> bool:
    """Whether this is what a trainer of Detectron2 writes: PyTorch's archive, or the pickle out of it.

    Takes up to a second.
    """
    try:
        with path.open("rb") as file:
            pickled = _pickled(file)
        said = pickletools.genops(pickled)
        return {argument for opcode, argument, _ in said if opcode.name in _STRINGS} >= _KEYS
    except BROKEN as error:
        require_sound_machine(error)
        return False


def _pickled(file: IO[bytes]) -> bytes:
    file.seek(0)
    start = file.read(_LARGEST_PICKLE_BYTES)
    if not start.startswith(MAGIC):
        return start
    with zipfile.ZipFile(cast("IO[bytes]", Capped(file))) as archive:
        pickled = inner_names(archive)[_PICKLED]
        return archive.read(pickled) if pickled.file_size <= _LARGEST_PICKLE_BYTES else b""

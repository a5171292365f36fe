"""Whether this process sees a GPU, as libraries need not be asked for that."""

import logging
import os
from pathlib import Path

from so1s_runtime.logs import log

DEVICES = Path("/dev")


def used() -> bool:
    """Whether a library that has CUDA shall compute on a GPU; where none is seen, the log says so."""
    if seen():
        return True
    log(logging.WARNING, "the image has libraries for a GPU and none is seen: the model runs on the CPU")
    return False


def seen() -> bool:
    """Whether there is a GPU of NVIDIA's for this process, and CUDA_VISIBLE_DEVICES does not hide it.

    Its driver has a file for each, `/dev/nvidia0` and so on, and a container has those of its own GPUs,
    whatever their numbers. To look takes microseconds, to ask CUDA loads its libraries. What
    NVIDIA_VISIBLE_DEVICES says is a wish: in many base images it is `all`, with a GPU or without.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return False
    return any(DEVICES.glob("nvidia[0-9]*"))

"""What an image's configuration says.

The fields follow the OCI image specification's image configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

RUNTIME_ROOT = PurePosixPath("/opt/so1s/runtime")
MODEL_ROOT = PurePosixPath("/opt/so1s/model")
DEPENDENCIES_ROOT = PurePosixPath("/opt/so1s/dependencies")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_NOBODY = "65532:65532"
_EPOCH = "1970-01-01T00:00:00Z"


def configuration(*, platform: str, labels: Mapping[str, str], diff_ids: Sequence[str]) -> dict[str, Any]:
    """The configuration of an inference server's image.

    Args:
        platform: what its libraries run on, such as `linux-x86_64-cp311`.
        labels: what identifies the model.
        diff_ids: of its layers, from the lowest to the topmost.
    """
    system, machine, _abi = platform.split("-", 2)
    return {
        "created": _EPOCH,
        "os": system,
        "architecture": _ARCHITECTURES.get(machine, machine),
        "config": {
            "User": _NOBODY,
            "Entrypoint": ["python", "-m", "so1s_runtime", "--model-dir", str(MODEL_ROOT)],
            "Env": [f"PYTHONPATH={RUNTIME_ROOT}:{DEPENDENCIES_ROOT}"],
            "Labels": {"so1s.base": "host", "so1s.platform": platform, **labels},
        },
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }

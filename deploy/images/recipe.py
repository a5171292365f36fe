"""What the image of a service says of itself.

The fields follow the OCI image specification's image configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from services.builder.domain.image import DEPENDENCIES_ROOT, Base, Layer, operating_system

CODE_ROOT = PurePosixPath("/opt/so1s/code")
PORT = 8000
"""Of health, metrics and API, as `so1s.settings` has it."""

_NOBODY = "65532:65532"
_WRITABLE = "/tmp"  # noqa: S108 - of the image, where a pod mounts a volume of its own
"""All that a service writes lies below: with a volume there, the image's own files may be read-only."""
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Service:
    """A service, as its pyproject.toml describes it."""

    name: str
    """`builder`."""
    description: str
    version: str
    license: str


def configuration(service: Service, base: Base, layers: Sequence[Layer]) -> dict[str, Any]:
    """The configuration of a service's image.

    Args:
        service: whose.
        base: what it stands on; its variables are kept.
        layers: above the base, from the lowest to the topmost.
    """
    inherited = (base.config.get("config") or {}).get("Env") or []
    return {
        "created": _EPOCH,
        **operating_system(base.platform),
        "config": {
            "User": _NOBODY,
            # -P: nothing is imported from the directory that it writes to.
            "Entrypoint": [base.interpreter, "-P", "-m", f"services.{service.name}"],
            "Env": [*inherited, *(f"{name}={value}" for name, value in _variables().items())],
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Labels": _labels(service, base),
            "StopSignal": "SIGTERM",
            "WorkingDir": _WRITABLE,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in (*base.layers, *layers)]},
        "history": [
            *({"created": _EPOCH, "created_by": base.name} for _ in base.layers),
            *({"created": _EPOCH, "created_by": "so1s"} for _ in layers),
        ],
    }


def _variables() -> dict[str, str]:
    return {
        "HOME": _WRITABLE,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{CODE_ROOT}:{DEPENDENCIES_ROOT}",
        "PYTHONUNBUFFERED": "1",
        "SO1S_HTTP_HOST": "0.0.0.0",  # noqa: S104 - of the pod, which the kubelet's probes reach it by
    }


def _labels(service: Service, base: Base) -> dict[str, str]:
    """https://github.com/opencontainers/image-spec/blob/main/annotations.md."""
    said = {
        "title": f"so1s-{service.name}",
        "description": service.description,
        "version": service.version,
        "licenses": service.license,
        "base.name": base.name.partition("@")[0],
        "base.digest": base.name.partition("@")[2],
    }
    return {f"org.opencontainers.image.{name}": value for name, value in said.items()}

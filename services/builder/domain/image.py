"""What an image is made of, and what its configuration says.

The fields follow the OCI image specification's image configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

RUNTIME_ROOT = PurePosixPath("/opt/so1s/runtime")
MODEL_ROOT = PurePosixPath("/opt/so1s/model")
DEPENDENCIES_ROOT = PurePosixPath("/opt/so1s/dependencies")

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_NOBODY = "65532:65532"
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Layer:
    """A packed layer's identity."""

    digest: str
    """sha256 of the packed bytes, as `sha256:…`."""
    diff_id: str
    """sha256 of the tar itself, as `sha256:…`."""
    size_bytes: int
    """Of the packed bytes."""
    media_type: str = LAYER_TYPE
    """Says whether and how it is compressed."""

    @property
    def is_compressed(self) -> bool:
        """Whether its bytes are not the tar itself."""
        return self.media_type != PLAIN_LAYER_TYPE

    @classmethod
    def packed(cls, digest: str, diff_id: str, size_bytes: int) -> Layer:
        """One that a builder packed: compressed by zstd, unless both digests are the same."""
        return cls(digest, diff_id, size_bytes, PLAIN_LAYER_TYPE if digest == diff_id else LAYER_TYPE)


@dataclass(frozen=True, slots=True)
class Base:
    """What an image stands on: the machine that runs it, or another image."""

    name: str
    """`host`, or the image's reference by digest."""
    platform: str
    """What it runs, such as `linux-x86_64-cp311`."""
    interpreter: str
    """The word that starts Python there."""
    layers: tuple[Layer, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    """The image's own configuration."""

    @classmethod
    def host(cls, platform: str) -> Base:
        """The machine that runs the image, and has its interpreter."""
        return cls("host", platform, "python")


def configuration(base: Base, *, labels: Mapping[str, str], layers: Sequence[Layer]) -> dict[str, Any]:
    """The configuration of an inference server's image.

    What the base says of its variables and its history is kept; how it starts is not.

    Args:
        base: what it stands on.
        labels: what identifies the model.
        layers: above the base, from the lowest to the topmost.
    """
    inherited = base.config.get("config") or {}
    system = operating_system(base.platform)
    kept = {name: base.config[name] for name in ("variant", "os.version") if name in base.config}
    return {
        "created": _EPOCH,
        **system,
        **kept,
        "config": {
            "User": _NOBODY,
            "Entrypoint": [base.interpreter, "-m", "so1s_runtime", "--model-dir", str(MODEL_ROOT)],
            "Env": [*(inherited.get("Env") or []), f"PYTHONPATH={RUNTIME_ROOT}:{DEPENDENCIES_ROOT}"],
            "Labels": {"so1s.base": base.name, "so1s.platform": base.platform, **labels},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in (*base.layers, *layers)]},
        "history": [*_history(base), *({"created": _EPOCH, "created_by": "so1s"} for _ in layers)],
    }


def operating_system(platform: str) -> dict[str, str]:
    """A platform in the words of OCI: `linux-x86_64-cp311` is `{"os": "linux", "architecture": "amd64"}`."""
    system, machine, _abi = platform.split("-", 2)
    return {"os": system, "architecture": _ARCHITECTURES.get(machine, machine)}


def python_abi(config: Mapping[str, Any]) -> str | None:
    """The interpreter of a base, such as `cp311`, as its configuration tells.

    Our own bases have the label `so1s.python`, Python's official images the variable `PYTHON_VERSION`.
    """
    said = config.get("config") or {}
    variables = dict(each.split("=", 1) for each in said.get("Env") or [])
    version = (said.get("Labels") or {}).get("so1s.python") or variables.get("PYTHON_VERSION") or ""
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return f"cp{major}{minor}" if major.isdigit() and minor.isdigit() else None


def _history(base: Base) -> list[dict[str, Any]]:
    """One entry for each layer of a base: what reads images counts them."""
    said = list(base.config.get("history") or [])
    if sum(not each.get("empty_layer") for each in said) == len(base.layers):
        return said
    return [{"created": _EPOCH, "created_by": base.name} for _ in base.layers]

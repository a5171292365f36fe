"""The image that others stand on, read from its registry."""

from __future__ import annotations

from typing import Any

from services.builder.domain.image import Base, Layer, operating_system, python_abi
from services.builder.domain.reference import Reference
from so1s.errors import TemporaryError
from so1s.registry import INDEX, MANIFEST, Session

_INDEXES = {INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"}
_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip"
}
"""Docker's word for a layer, and OCI's for the same bytes: an image uses one vocabulary."""
_INTERPRETER = "python3"
"""The name that Debian's packages and Python's official images both have on their search path."""


async def resolve(session: Session, reference: Reference, platform: str) -> Base:
    """What an image is on a platform, as others may stand on it.

    Raises:
        TemporaryError: it cannot be read now, or is made for another platform; an operator mends that.
    """
    manifest = await _manifest(session, reference, platform)
    config = await session.json(reference.repository, manifest["config"]["digest"], "blobs")
    _require_platform(reference, config, platform)
    described = zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    layers = tuple(
        Layer(each["digest"], diff_id, each["size"], _LAYER_TYPES.get(each["mediaType"], each["mediaType"]))
        for each, diff_id in described
    )
    return Base(str(reference), platform, _INTERPRETER, layers, config)


async def _manifest(session: Session, reference: Reference, platform: str) -> dict[str, Any]:
    """The image's manifest; of an index, the one for the platform."""
    found = await session.json(reference.repository, reference.digest, "manifests")
    if found.get("mediaType", MANIFEST) not in _INDEXES:
        return found
    wanted = operating_system(platform)
    for each in found["manifests"]:
        if wanted.items() <= each.get("platform", {}).items():
            return await session.json(reference.repository, each["digest"], "manifests")
    raise TemporaryError(f"the base image {reference} has no variant for {_shown(wanted)}")


def _require_platform(reference: Reference, config: dict[str, Any], platform: str) -> None:
    wanted = operating_system(platform) | {"python": platform.rpartition("-")[2]}
    found = {name: config.get(name) for name in ("os", "architecture")} | {"python": python_abi(config)}
    if found != wanted:
        raise TemporaryError(
            f"the base image {reference} has {_shown(found)}, but this builder's models need "
            f"{_shown(wanted)}: run the builder on the base's own Python, or choose another base_image"
        )


def _shown(platform: dict[str, Any]) -> str:
    return " ".join(str(value or "no known Python") for value in platform.values())

"""The documents of an image, as the OCI image specification describes them: configuration and manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.builder.domain.image import Layer

CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Document:
    """JSON whose bytes are its identity."""

    media_type: str
    data: bytes
    digest: str

    @classmethod
    def of(cls, media_type: str, value: dict[str, Any]) -> Document:
        """The same bytes for the same value."""
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return cls(media_type, data, digest_of(data))

    @property
    def descriptor(self) -> dict[str, Any]:
        """How another document points to this one."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class ImageDocuments:
    """The two documents of one image."""

    config: Document
    manifest: Document
    size_bytes: int
    """Of both and of all layers."""

    @classmethod
    def of(cls, config: dict[str, Any], layers: Sequence[Layer]) -> ImageDocuments:
        """The documents of an image of these layers, from the lowest to the topmost."""
        configured = Document.of(CONFIG, config)
        described = [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size_bytes}
            for layer in layers
        ]
        manifest = Document.of(
            MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": configured.descriptor,
                "layers": described,
            },
        )
        size = len(configured.data) + len(manifest.data) + sum(layer.size_bytes for layer in layers)
        return cls(configured, manifest, size)


def digest_of(data: bytes) -> str:
    """`sha256:…` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"

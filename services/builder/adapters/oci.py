"""The documents of an image, as the OCI image specification describes them: configuration and manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.builder.domain.image import Layer
from so1s.registry import CONFIG, MANIFEST, Document


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

"""The documents of an image, as the OCI image specification describes them: configuration and manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.builder.domain import attachment
from services.builder.domain.attachment import Attachment
from services.builder.domain.image import Layer
from so1s.registry import CONFIG, MANIFEST, Document
from so1s.supply_chain.formats import Kind


@dataclass(frozen=True, slots=True)
class AttachmentDocuments:
    """The two documents that hold what is attached to an image."""

    config: Document
    manifest: Document

    @classmethod
    def of(cls, subject: dict[str, Any], kind: Kind, attached: Sequence[Attachment]) -> AttachmentDocuments:
        """The documents of attachments; `subject` is the descriptor of the image's manifest."""
        config = Document.of(CONFIG, attachment.configuration(attached))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": attachment.artifact_type(kind),
            "config": config.descriptor,
            "layers": [each.descriptor for each in attached],
            "subject": subject,
        }
        return cls(config, Document.of(MANIFEST, manifest))


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


def attachment_of(layer: Mapping[str, Any], data: bytes) -> Attachment:
    """One attachment, given how its manifest points to it."""
    return Attachment(layer["mediaType"], data, layer.get("annotations") or {})

"""Documents of images and of what is attached to them, as the OCI image specification describes them."""

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
    """The documents that hold what is attached to an image under the tag of a kind."""

    kind: Kind
    config: Document
    manifest: Document
    attached: Sequence[Attachment]

    @classmethod
    def of(cls, subject: dict[str, Any], kind: Kind, attached: Sequence[Attachment]) -> AttachmentDocuments:
        """The documents of attachments; `subject` is the descriptor of the image's manifest."""
        config = Document.of(*attachment.configuration(kind, attached))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor,
            "layers": [each.descriptor for each in attached],
            "subject": subject,
            **attachment.listed_as(kind),
        }
        return cls(kind, config, Document.of(MANIFEST, manifest), attached)

    @property
    def blobs(self) -> dict[str, bytes]:
        """What the manifest points to, by digest."""
        return {each.digest: each.data for each in (self.config, *self.attached)}

    @property
    def all(self) -> dict[str, bytes]:
        """The manifest and what it points to, by digest."""
        return self.blobs | {self.manifest.digest: self.manifest.data}

    @property
    def listed(self) -> dict[str, Any]:
        """How an index of what is attached to an image points to the manifest."""
        return self.manifest.descriptor | attachment.listed_as(self.kind)


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

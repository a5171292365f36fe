"""What is attached to an image: signatures, and statements about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from so1s.registry.documents import CONFIG, EMPTY, digest_of
from so1s.supply_chain.evidence import Evidence, read
from so1s.supply_chain.formats import (
    ARTIFACT_TYPES,
    CYCLONEDX,
    DSSE,
    IN_TOTO,
    PREDICATE_TYPE_ANNOTATION,
    PROVENANCE,
    SIGNATURE_ANNOTATION,
    SIMPLE_SIGNING,
    TITLE_ANNOTATION,
    Kind,
)

PREDICATE_ANNOTATION = "predicateType"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One signature, attestation or document, as a layer of the manifest that holds all of its kind."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def signature(cls, payload: bytes, signature: str) -> Attachment:
        """A simple signing payload, and the base64 of its signature."""
        return cls(SIMPLE_SIGNING, payload, {SIGNATURE_ANNOTATION: signature})

    @classmethod
    def attestation(cls, envelope: bytes, predicate_type: str) -> Attachment:
        """A DSSE envelope with a statement of a type."""
        return cls(DSSE, envelope, {SIGNATURE_ANNOTATION: "", PREDICATE_ANNOTATION: predicate_type})

    @classmethod
    def sbom(cls, document: bytes) -> Attachment:
        """A bill of materials in CycloneDX's JSON."""
        return cls(CYCLONEDX, document, {TITLE_ANNOTATION: "sbom.cdx.json"})

    @classmethod
    def provenance(cls, statement: bytes) -> Attachment:
        """An in-toto statement with SLSA provenance."""
        return cls(IN_TOTO, statement, {TITLE_ANNOTATION: "provenance.in-toto.json"})

    @property
    def topic(self) -> tuple[str, str]:
        """What it is about; of one key, the newest of a topic stands for those before."""
        return self.media_type, self.annotations.get(PREDICATE_ANNOTATION, "")

    @property
    def digest(self) -> str:
        """Of its bytes."""
        return digest_of(self.data)

    @property
    def evidence(self) -> Evidence | None:
        """What it says and who signed it; None where it is in no form that is known."""
        return read(self.descriptor, self.data)

    @property
    def descriptor(self) -> dict[str, object]:
        """How a manifest points to it."""
        described = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}
        return described | {"annotations": dict(self.annotations)}


def merged(
    present: Sequence[Attachment], new: Sequence[Attachment], is_ours: Callable[[Attachment], bool]
) -> list[Attachment]:
    """What shall be attached: the new, and of the present what others attached or what is about other topics.

    Args:
        present: what is there.
        new: what takes the place of ours.
        is_ours: whether our key signed it.
    """
    topics = {each.topic for each in new}
    return [*(each for each in present if each.topic not in topics or not is_ours(each)), *new]


def configuration(kind: Kind, attachments: Sequence[Attachment]) -> tuple[str, dict[str, object]]:
    """The configuration of the manifest that holds them, and its media type.

    cosign reads that of signatures and attestations as an image's; a document needs none.
    """
    if kind not in {"sig", "att"}:
        return EMPTY, {}
    diff_ids = [each.digest for each in attachments]
    return CONFIG, {
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def listed_as(kind: Kind) -> dict[str, object]:
    """What those who list what is attached to an image are told of the manifest."""
    said = {PREDICATE_TYPE_ANNOTATION: PROVENANCE} if kind == "provenance" else {}
    return {"artifactType": ARTIFACT_TYPES[kind]} | ({"annotations": said} if said else {})

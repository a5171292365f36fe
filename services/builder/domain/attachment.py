"""What is attached to an image: signatures, and statements about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from so1s.registry.documents import digest_of
from so1s.supply_chain.evidence import Evidence, read
from so1s.supply_chain.formats import (
    ARTIFACT_TYPES,
    DSSE,
    SIGNATURE_ANNOTATION,
    SIMPLE_SIGNING,
    Kind,
)

PREDICATE_ANNOTATION = "predicateType"


@dataclass(frozen=True, slots=True)
class Attachment:
    """One signature or one attestation, as a layer of the manifest that holds all of its kind."""

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


def configuration(attachments: Sequence[Attachment]) -> dict[str, object]:
    """The configuration of the manifest that holds them: cosign reads it as an image's."""
    diff_ids = [each.digest for each in attachments]
    return {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}


def artifact_type(kind: Kind) -> str:
    """What a registry lists the manifest as."""
    return ARTIFACT_TYPES[kind]

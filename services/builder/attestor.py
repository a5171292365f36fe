"""Describes images: what they were made of and where they come from; and signs both, where there is a key."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from services.builder.domain.attachment import Attachment, merged
from services.builder.domain.failure import AttachmentRefused, Unlisted
from services.builder.domain.made import Made
from services.builder.domain.provenance import provenance
from services.builder.domain.sbom import bill_of_materials
from services.builder.packages import runtime_version
from services.builder.ports import Images, Signer
from so1s.supply_chain import formats
from so1s.supply_chain.formats import PROVENANCE, SBOM, Kind
from so1s.supply_chain.statement import Statement, envelope


@dataclass(frozen=True, slots=True)
class Invocation:
    """Which build it was."""

    name: str
    """`risk/fraud@3#1`."""
    started: float
    """In seconds since the epoch."""


class Attestor:
    """Describes images, and signs with one key, where it has one; what others signed stays."""

    def __init__(self, signer: Signer | None, builder: str) -> None:
        """Take the parts.

        Args:
            signer: whose signature it is; None: images are described, and nobody vouches for that.
            builder: URI of this builder, as provenance names it.
        """
        self._signer = signer
        self._builder = builder

    @property
    def signs(self) -> bool:
        """Whether there is a key."""
        return self._signer is not None

    async def attest(self, images: Images, made: Made, invocation: Invocation) -> list[str]:
        """Attach bill of materials and provenance; where there is a key, attestations and a signature, too.

        Args:
            images: where the image is.
            made: the image and its ingredients.
            invocation: the build.

        Returns:
            warnings: a registry that takes no documents, or no list of what is attached, fails no build.

        Raises:
            AttachmentRefused: what shall be signed cannot be.
            TemporaryError: the place of the image does not take them now.
        """
        said = provenance(
            made,
            builder=self._builder,
            builder_version=runtime_version(),
            invocation=invocation.name,
            started=invocation.started,
            finished=time.time(),
        )
        sbom = bill_of_materials(made)
        origin = _statement(made, PROVENANCE, said)
        documents: dict[Kind, list[Attachment]] = {
            "sbom": [Attachment.sbom(json.dumps(sbom, separators=(",", ":")).encode())],
            "provenance": [Attachment.provenance(origin.to_json())],
        }
        warned = await _tried(images.attach(made.image, documents), AttachmentRefused)
        if self._signer:
            attested = [_statement(made, SBOM, sbom), origin]
            warned += await _sign(self._signer, images, made, attested)
        return list(dict.fromkeys(warned))


async def _tried(attaching: Awaitable[None], tolerated: type[AttachmentRefused]) -> list[str]:
    """Attach, and turn what may be refused into a warning."""
    try:
        await attaching
    except tolerated as error:
        return [f"not all of what tells of the image could be attached and listed: {error}"]
    return []


async def _sign(
    signer: Signer,
    images: Images,
    made: Made,
    statements: Sequence[Statement],
) -> list[str]:
    def is_ours(attachment: Attachment) -> bool:
        evidence = attachment.evidence
        return evidence is not None and any(
            signer.public.verifies(each, evidence.signed) for each in evidence.signatures
        )

    async def beside(kind: Kind, new: Sequence[Attachment]) -> Sequence[Attachment]:
        return merged(await images.attachments(made.image, kind), new, is_ours)

    attested = [
        Attachment.attestation(envelope(each, signer.sign), each.predicate_type) for each in statements
    ]
    payload = formats.simple_signing(_shown(made), made.image.digest)
    signature = Attachment.signature(payload, base64.b64encode(signer.sign(payload)).decode())
    # The signature comes last: who sees it finds all that it vouches for. Both are found by their tags, so
    # that a list which is refused puts off no build.
    warned = await _tried(images.attach(made.image, {"att": await beside("att", attested)}), Unlisted)
    warned += await _tried(images.attach(made.image, {"sig": await beside("sig", [signature])}), Unlisted)
    return warned


def _statement(made: Made, predicate_type: str, predicate: dict[str, Any]) -> Statement:
    return Statement.of(_shown(made), made.image.digest, predicate_type, predicate)


def _shown(made: Made) -> str:
    """How the image is called: by its repository; a directory's path is its machine's own affair."""
    place = made.image.reference.rpartition("@")[0]
    return made.key if place.startswith("oci:") else place

"""Signs images, and attaches what they were made of and where they come from."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass

from services.builder.domain.attachment import Attachment, merged
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
    """Signs with one key; what others attached to an image stays."""

    def __init__(self, signer: Signer, images: Images, builder: str) -> None:
        """Take the parts.

        Args:
            signer: whose signature it is.
            images: where images are, and what is attached to them.
            builder: URI of this builder, as provenance names it.
        """
        self._signer = signer
        self._images = images
        self._builder = builder

    async def attest(self, made: Made, invocation: Invocation) -> None:
        """Attach a signature, the bill of materials and the provenance.

        Raises:
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
        statements = [(SBOM, bill_of_materials(made)), (PROVENANCE, said)]
        name = _shown(made)
        # The signature comes last: who sees it finds all that it vouches for.
        await self._attach(
            made, "att", [self._attestation(name, made, kind, what) for kind, what in statements]
        )
        await self._attach(made, "sig", [self._signature(name, made)])

    async def _attach(self, made: Made, kind: Kind, new: list[Attachment]) -> None:
        present = await self._images.attachments(made.image, kind)
        await self._images.attach(made.image, kind, merged(present, new, self._is_ours))

    def _is_ours(self, attachment: Attachment) -> bool:
        evidence = attachment.evidence
        return evidence is not None and any(
            self._signer.public.verifies(each, evidence.signed) for each in evidence.signatures
        )

    def _attestation(self, name: str, made: Made, predicate_type: str, predicate: dict) -> Attachment:
        statement = Statement.of(name, made.image.digest, predicate_type, predicate)
        return Attachment.attestation(envelope(statement, self._signer.sign), predicate_type)

    def _signature(self, name: str, made: Made) -> Attachment:
        payload = formats.simple_signing(name, made.image.digest)
        return Attachment.signature(payload, base64.b64encode(self._signer.sign(payload)).decode())


def _shown(made: Made) -> str:
    """How the image is called: by its repository; a directory's path is its machine's own affair."""
    place = made.image.reference.rpartition("@")[0]
    return made.key if place.startswith("oci:") else place

"""What is said of an image, whoever says it: nothing here is held against a key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from so1s.supply_chain.evidence import Source, document, find_image, gather
from so1s.supply_chain.formats import PROVENANCE, SBOM
from so1s.supply_chain.refusal import readable
from so1s.supply_chain.statement import Statement, newest


@dataclass(frozen=True, slots=True)
class Description:
    """What an image is said to be made of, and to come from; whoever may push can say so."""

    digest: str
    sbom: dict[str, Any] | None
    """The CycloneDX document; None where none is attached."""
    provenance: dict[str, Any] | None
    """The SLSA predicate, likewise."""
    signed: bool
    """Whether there is a signature, whoever made it, and of whatever."""


async def describe(source: Source, reference: str, *, layers: bool = False) -> Description:
    """Read what is attached to an image: the documents as they are, or else what is attested.

    Args:
        source: where it lies.
        reference: its digest, or a tag.
        layers: hold the bytes of all its layers against their digests, too.

    Raises:
        NotVerified: it is not there, was changed, or what is attached cannot be read.
        TemporaryError: the place does not answer.
    """
    with readable(reference):
        digest = await find_image(source, reference, layers=layers)
        evidence = await gather(source, digest)
        sbom = await document(source, digest, "sbom")
        said = await document(source, digest, "provenance")
        attested = [each.payload for each in evidence if each.kind == "att"]
        parsed = map(Statement.parse, [*attested, *([said] if said else [])])
        statements = [each for each in parsed if each and each.is_about(digest)]
        found = dict(json.loads(sbom)) if sbom else newest(statements, SBOM)
        signed = any(each.is_signature for each in evidence)
        return Description(digest, found, newest(statements, PROVENANCE), signed)

"""The verdict on an image: its bytes, who signed it, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from so1s.supply_chain.evidence import Evidence, Source, find_image, gather
from so1s.supply_chain.formats import PROVENANCE, SBOM, signed_digest
from so1s.supply_chain.keys import PublicKey
from so1s.supply_chain.refusal import NotVerified, readable
from so1s.supply_chain.statement import Statement, newest


@dataclass(frozen=True, slots=True)
class Verified:
    """An image that a key's owner signed, and what they say of it."""

    digest: str
    key: PublicKey
    """The one that verified."""
    provenance: dict[str, Any] | None
    """The SLSA predicate, where one is attached that the key verifies."""
    sbom: dict[str, Any] | None
    """The CycloneDX document, likewise."""


async def verify(
    source: Source, reference: str, keys: Sequence[PublicKey], *, layers: bool = False
) -> Verified:
    """Verify an image and what is attached to it.

    Args:
        source: where it lies.
        reference: its digest, or a tag.
        keys: whose signatures count; one of them is enough.
        layers: hold the bytes of all its layers against their digests, too.

    Raises:
        NotVerified: with the reason.
        TemporaryError: the place does not answer.
    """
    with readable(reference):
        digest = await find_image(source, reference, layers=layers)
        return judge(digest, await gather(source, digest), keys)


def judge(digest: str, evidence: Sequence[Evidence], keys: Sequence[PublicKey]) -> Verified:
    """Decide on an image by what is attached to it.

    Raises:
        NotVerified: no signature by one of the keys is of this image.
    """
    signatures = [each for each in evidence if each.is_signature]
    if not signatures:
        raise NotVerified("unsigned", f"no signature is attached to {digest}")
    trusted = [(key, each) for key in keys for each in signatures if _is_by(key, each)]
    if not trusted:
        known = ", ".join(key.fingerprint for key in keys)
        raise NotVerified("wrong_key", f"no signature of {digest} is by the key {known}")
    key = next((key for key, each in trusted if _names(each, digest)), None)
    if key is None:
        raise NotVerified("other_image", f"what is signed is another image than {digest}")
    statements = list(_statements(digest, evidence, key))
    return Verified(digest, key, newest(statements, PROVENANCE), newest(statements, SBOM))


def _is_by(key: PublicKey, evidence: Evidence) -> bool:
    return any(key.verifies(signature, evidence.signed) for signature in evidence.signatures)


def _names(evidence: Evidence, digest: str) -> bool:
    if evidence.kind == "sig":
        return signed_digest(evidence.payload) == digest
    statement = Statement.parse(evidence.payload)
    return statement is not None and statement.is_about(digest)


def _statements(digest: str, evidence: Iterable[Evidence], key: PublicKey) -> Iterable[Statement]:
    for each in evidence:
        statement = Statement.parse(each.payload) if each.kind == "att" else None
        if statement and statement.is_about(digest) and _is_by(key, each):
            yield statement

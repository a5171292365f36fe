"""The words of the formats: media types, tags, types of predicates, and what is signed.

Sources: cosign's SIGNATURE_SPEC.md, https://github.com/secure-systems-lab/dsse/blob/master/protocol.md,
https://github.com/in-toto/attestation/tree/main/spec/v1, https://github.com/sigstore/protobuf-specs.
"""

from __future__ import annotations

import json
from typing import Literal

Kind = Literal["sig", "att"]
"""Signatures, or attestations."""

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
BUNDLE_PREFIX = "application/vnd.dev.sigstore.bundle"
"""Of the media types of what cosign attaches since its version 3; ours are understood by all versions."""
ARTIFACT_TYPES: dict[Kind, str] = {
    "sig": "application/vnd.dev.cosign.artifact.sig.v1+json",
    "att": IN_TOTO,
}
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"

STATEMENT = "https://in-toto.io/Statement/v1"
STATEMENTS = frozenset({STATEMENT, "https://in-toto.io/Statement/v0.1"})
SBOM = "https://cyclonedx.org/bom"
PROVENANCE = "https://slsa.dev/provenance/v1"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of a statement that is a signature and says nothing else, as cosign 3 makes it."""

MODEL_BUILD = "https://so1s.dev/builds/model/v1"
"""The build type of provenance that a builder of So1s gives: docs/supply-chain.md says its parameters."""

_CONTAINER = "cosign container image signature"


def tag_of(digest: str, kind: Kind) -> str:
    """Where an image's signatures or attestations lie, in the image's own repository."""
    return f"{digest.replace(':', '-')}.{kind}"


def simple_signing(reference: str, digest: str) -> bytes:
    """What a signature of an image is over.

    Args:
        reference: the image's name, for people: verifiers hold nothing against it.
        digest: the image's, which is what is signed.
    """
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": _CONTAINER,
    }
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def signed_digest(payload: bytes) -> str | None:
    """The image that a simple signing payload speaks of; None where it is something else."""
    try:
        critical = json.loads(payload)["critical"]
        digest = critical["image"]["docker-manifest-digest"]
        is_signature = critical["type"] == _CONTAINER
    except (ValueError, KeyError, TypeError):
        return None
    return digest if is_signature and isinstance(digest, str) else None


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What the signature of a DSSE envelope is over: type and payload with their lengths, in bytes."""
    named = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(named), named, len(payload), payload)

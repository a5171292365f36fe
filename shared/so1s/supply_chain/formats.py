"""The words of the formats: media types, tags, types of predicates, and what is signed.

Sources: cosign's SIGNATURE_SPEC.md and SBOM_SPEC.md, https://github.com/sigstore/protobuf-specs,
https://github.com/secure-systems-lab/dsse/blob/master/protocol.md,
https://github.com/in-toto/attestation/tree/main/spec/v1.
"""

from __future__ import annotations

import json
from typing import Literal

Kind = Literal["sig", "att", "sbom", "provenance"]
"""Signatures and attestations; and the documents that are attested, as they are, which nobody signed."""

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
BUNDLE_PREFIX = "application/vnd.dev.sigstore.bundle"
"""Of the media types of what cosign attaches since its version 3; ours are understood by all versions."""
ARTIFACT_TYPES: dict[Kind, str] = {
    "sig": "application/vnd.dev.cosign.artifact.sig.v1+json",
    "att": IN_TOTO,
    "sbom": CYCLONEDX,
    "provenance": IN_TOTO,
}
"""What registries list each kind as. Scanners look for bills of materials by the type of the document."""
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
PREDICATE_TYPE_ANNOTATION = "in-toto.io/predicate-type"
"""Of the manifest of a statement: what it says, for those who list."""
TITLE_ANNOTATION = "org.opencontainers.image.title"
"""Of a document: the file that clients such as oras write it to."""

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
    """Where what is attached to an image lies, in its own repository: but for the last, as cosign has it."""
    return f"{referrers_tag(digest)}.{kind}"


def referrers_tag(digest: str) -> str:
    """Where the list of what is attached to an image lies, in a registry that does not keep it by itself.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
    """
    return digest.replace(":", "-")


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

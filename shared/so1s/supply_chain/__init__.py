"""Who built an image from what, and how anybody can tell: signatures and attestations beside the image.

A signature is what cosign makes and checks: ECDSA on P-256 with SHA-256, over a payload that names the
image's digest. An attestation is an in-toto statement in a DSSE envelope, signed by the same key: an image
has one with its CycloneDX bill of materials and one with its SLSA provenance.

Both documents are there without a signature, too, wherever an image is built: for whoever wants to read them,
and as evidence of nothing.

All lie where the image lies, as manifests that name it as their `subject` (listed by the registry, or for one
that keeps no list) and have tags, `sha256-….sig`, `.att`, `.sbom` and `.provenance` (found in any registry).

Keys and verification need the extra `so1s[verify]`.
"""

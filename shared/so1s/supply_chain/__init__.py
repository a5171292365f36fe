"""Who built an image from what, and how anybody can tell: signatures and attestations beside the image.

A signature is what cosign makes and checks: ECDSA on P-256 with SHA-256, over a payload that names the
image's digest. An attestation is an in-toto statement in a DSSE envelope, signed by the same key: an image
has one with its CycloneDX bill of materials and one with its SLSA provenance.

Both lie where the image lies, as manifests that name it as their `subject` (a registry with the referrers API
lists them) and have cosign's tags, `sha256-….sig` and `sha256-….att` (found in any registry).

Importing this package needs the extra `so1s[verify]`.
"""

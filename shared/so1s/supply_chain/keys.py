"""Public keys that signatures are checked by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from so1s.errors import InvalidInput

_ALLOWED = "allowed: an ECDSA key on P-256, as PEM"


class PublicKey:
    """An ECDSA key on the curve P-256, whose signatures are over SHA-256."""

    def __init__(self, key: EllipticCurvePublicKey) -> None:
        self._key = key
        encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.fingerprint = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
        """Of the key's DER form; people compare it."""

    @classmethod
    def parse(cls, pem: bytes, field: str = "key") -> Self:
        """Read `-----BEGIN PUBLIC KEY-----`.

        Raises:
            InvalidInput: it is no such key; names `field`, and nothing of what was read.
        """
        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise InvalidInput.fault(field, "it is none", _ALLOWED) from error
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise InvalidInput.of(field, type(key).__name__, _ALLOWED)
        return cls(key)

    @classmethod
    def read(cls, path: Path, field: str = "key") -> Self:
        """Read a PEM file.

        Raises:
            InvalidInput: it is not there, or holds no such key.
        """
        try:
            return cls.parse(path.read_bytes(), field)
        except OSError as error:
            happened = f"{path} cannot be read, {error.strerror}"
            raise InvalidInput.fault(field, happened, "allowed: a PEM file") from error

    def to_pem(self) -> bytes:
        """`parse` is the inverse."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the key's owner signed the data; the signature is ASN.1's DER, as cosign's are."""
        try:
            self._key.verify(signature, data, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

"""A private key on this machine, as PEM: of PKCS 8, with or without a password, or of SEC 1."""

from __future__ import annotations

from typing import Self

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from so1s.errors import InvalidInput
from so1s.supply_chain.keys import PublicKey

_ALLOWED = "allowed: an ECDSA key on P-256, as PEM, and its password in SO1S_SIGNING_KEY_PASSWORD"


class SigningKey:
    """See `ports.Signer`."""

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def parse(cls, pem: SecretStr, password: SecretStr | None) -> Self:
        """Read a key.

        Raises:
            InvalidInput: it is no such key, or the password is not its; says nothing of either.
        """
        secret = password.get_secret_value().encode() if password else None
        try:
            key = load_pem_private_key(pem.get_secret_value().encode(), secret)
        except (ValueError, TypeError) as error:
            raise InvalidInput.of("signing_key", type(error).__name__, _ALLOWED) from None
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise InvalidInput.of("signing_key", type(key).__name__, _ALLOWED)
        return cls(key)

    def sign(self, data: bytes) -> bytes:
        """See `ports.Signer`."""
        return self._key.sign(data, ECDSA(SHA256()))

"""Keys for tests that sign."""

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import SecretStr

from services.builder.adapters.signing_key import SigningKey


def new_pem(password: str | None = None, curve=SECP256R1) -> SecretStr:
    """A new private key."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = generate_private_key(curve())
    return SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def new_key() -> SigningKey:
    return SigningKey.parse(new_pem(), None)

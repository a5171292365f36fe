"""Keys for tests that sign, and images that are signed with them."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import SecretStr

from services.builder.adapters.signing_key import SigningKey
from services.builder.attestor import Attestor, Invocation
from services.builder.ports import Images
from so1s.events import Image
from tests.builder.test_supply_domain import MADE


def new_pem(password: str | None = None, curve=SECP256R1) -> SecretStr:
    """A new private key."""
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = generate_private_key(curve())
    return SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def new_key() -> SigningKey:
    return SigningKey.parse(new_pem(), None)


async def sign(images: Images, image: Image, key: SigningKey | None, version: str = "3") -> None:
    """Attach to an image what is said of a version of `risk/fraud`, and sign it where there is a key."""
    uploaded = MADE.uploaded.model_copy(update={"version": version})
    attestor = Attestor(key, "https://builder.example")
    await attestor.attest(
        images, replace(MADE, image=image, uploaded=uploaded), Invocation("risk/fraud@3#1", 0.0)
    )

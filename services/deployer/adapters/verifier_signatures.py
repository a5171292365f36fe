"""Verifies images by what is attached to them, where they lie."""

from __future__ import annotations

from collections.abc import Sequence

from services.deployer.domain.trust import mismatch
from services.deployer.ports import Deployment, Refusal
from so1s.errors import InvalidInput
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.keys import PublicKey
from so1s.supply_chain.places import Reference, opened
from so1s.supply_chain.refusal import NotVerified
from so1s.supply_chain.verification import Verified, verify


class SignatureVerifier:
    """The `Verifier` port; an image that was let through once is not read again, since its digest stands."""

    def __init__(self, keys: Sequence[PublicKey], access: RegistryAccess) -> None:
        """Take who is trusted.

        Args:
            keys: whose signatures count; one of them is enough.
            access: to the registry.
        """
        self._keys = keys
        self._access = access
        self._accepted: set[tuple[str, ...]] = set()

    async def refusal(self, deployment: Deployment) -> Refusal | None:
        """See `ports.Verifier`."""
        workload = deployment.workload
        said = {"account": deployment.account, "model": workload.model, "version": workload.version}
        known = (workload.image.reference, *said.values())
        if known in self._accepted:
            return None
        try:
            verified = await self._verify(workload.image.reference, workload.image.digest)
        except NotVerified as error:
            return Refusal(error.reason, str(error))
        if different := mismatch(said, verified.provenance):
            return Refusal("other_image", different)
        self._accepted.add(known)
        return None

    async def _verify(self, image: str, digest: str) -> Verified:
        try:
            reference = Reference.parse(image)
        except InvalidInput as error:
            raise NotVerified("missing", str(error)) from error
        if reference.name != digest:
            raise NotVerified("other_image", f"{image} is not named by its digest {digest}")
        async with opened(reference, self._access) as source:
            return await verify(source, digest, self._keys)

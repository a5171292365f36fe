"""What the console asks of the place where artifacts are kept."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol

from services.console.domain.drops import Base, Object
from services.console.domain.upload import Offer, Upload


class Uploads(Protocol):
    """Where artifacts go."""

    async def offer(self, upload: Upload) -> Offer:
        """Say where the bytes of an upload are to be sent, or that they are there already.

        Raises:
            Unreachable: the place does not answer.
        """
        ...


class Receiver(Protocol):
    """A place whose bytes come through the console."""

    async def receive(self, upload: Upload, chunks: AsyncIterable[bytes]) -> str:
        """Take an upload's bytes, and answer the artifact's URI; nothing is kept of a wrong upload.

        Raises:
            InvalidInput: they are more than was said, or others.
        """
        ...


class Listing(Protocol):
    """A bucket that pipelines drop files into."""

    async def objects(self, base: Base) -> list[Object]:
        """All that lies below a base.

        Raises:
            Unreachable: it cannot be listed now.
        """
        ...

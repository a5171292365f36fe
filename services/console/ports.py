"""What the console asks of the place where artifacts are kept."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol

from services.console.domain.drops import Base, Object
from services.console.domain.parts import Begun, PartsAsked
from services.console.domain.upload import Offer, Put, Upload


class Uploads(Protocol):
    """Where artifacts go."""

    async def offer(self, upload: Upload) -> Offer:
        """Say where the bytes of an upload are to be sent, or that they are there already.

        Raises:
            Unreachable: the place does not answer.
        """
        ...


class PartUploads(Protocol):
    """A place that takes what is large in parts, which never come through the console."""

    async def sign(self, asked: PartsAsked) -> list[Put]:
        """Say where each part is to be sent.

        Raises:
            InvalidInput: there is no such part.
        """
        ...

    async def complete(self, begun: Begun) -> str:
        """Make the artifact of its parts, and answer its URI; one that is complete already stays so.

        Raises:
            InvalidInput: parts are missing, or the upload has ended.
            Unreachable: the place does not answer.
        """
        ...

    async def abort(self, begun: Begun) -> None:
        """Drop what was sent; one that has ended stays so.

        Raises:
            Unreachable: the place does not answer.
        """
        ...

    async def abort_abandoned(self, began_before: float) -> int:
        """Drop what was sent of the uploads that began longer ago; answers how many these are.

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

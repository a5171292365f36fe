"""What the console asks of the place where artifacts are kept, and of a builder."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from typing import Any, Protocol

from services.console.domain.drops import Base, Object
from services.console.domain.parts import Begun, PartsAsked
from services.console.domain.upload import Offer, Put, Upload
from so1s.errors import So1sError


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
            Unreachable: the place does not take them now.
        """
        ...


class NotTold(So1sError):
    """A builder knows no such build, or keeps its log no more; `status` is that of HTTP."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Builds(Protocol):
    """What a builder tells of the builds of an account."""

    async def of_account(self, account: str, chosen: Mapping[str, str]) -> list[dict[str, Any]]:
        """Its builds, the newest first; `chosen` are a `model` and a `state`, where these are said.

        Raises:
            Unreachable: the builder does not answer.
        """
        ...

    async def log(self, account: str, model: str, version: str) -> str:
        """The log of a version's present build.

        Raises:
            NotTold: there is none.
            Unreachable: the builder does not answer.
        """
        ...

    async def lines(self, account: str, model: str, version: str, after: int) -> dict[str, Any]:
        """The `build` itself, and the `lines` of its log but for so many first ones.

        Raises:
            NotTold: there is none.
            Unreachable: the builder does not answer.
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

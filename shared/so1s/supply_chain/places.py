"""Where images lie: an OCI image layout on disk, or a repository of a registry."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from so1s.errors import InvalidInput
from so1s.registry import NotThere, Registry, Session, digest_of
from so1s.supply_chain.access import RegistryAccess
from so1s.supply_chain.evidence import Source
from so1s.supply_chain.formats import referrers_tag
from so1s.supply_chain.refusal import Changed, NotVerified

_NAME = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK_BYTES = 1024 * 1024
_ALLOWED = "allowed: HOST/REPOSITORY@sha256:…, HOST/REPOSITORY:TAG, or oci:DIRECTORY@sha256:… on a laptop"


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a place."""

    place: str
    """`HOST/REPOSITORY`, or a directory."""
    name: str
    """Its digest, or a tag."""
    is_layout: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference as events have it.

        Raises:
            InvalidInput: it is none.
        """
        is_layout = text.startswith("oci:")
        place, at, name = text.removeprefix("oci:").rpartition("@")
        if not at and not is_layout:
            place, _, name = text.rpartition(":")
        wrong_digest = (at or is_layout) and not _DIGEST.fullmatch(name)
        if not place or not name or "/" in name or wrong_digest or (not is_layout and "/" not in place):
            raise InvalidInput.of("image", text, _ALLOWED)
        return cls(place, name, is_layout)


@asynccontextmanager
async def opened(reference: Reference, access: RegistryAccess) -> AsyncGenerator[Source]:
    """The place of an image, for some questions."""
    if reference.is_layout:
        yield Layout(Path(reference.place))
        return
    host, _, repository = reference.place.partition("/")
    registry: Registry = access.registry(host)
    async with registry.session() as session:
        yield Repository(session, repository)


class Layout:
    """An OCI image layout; see `Source`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def find(self, reference: str) -> tuple[str, dict[str, Any]] | None:
        """See `Source.find`."""
        digest = reference if _DIGEST.fullmatch(reference) else self._tagged(reference)
        if digest is None or not self._blob(digest).is_file():
            return None
        return digest, json.loads(await self.blob(digest))

    async def blob(self, digest: str) -> bytes:
        """See `Source.blob`."""
        with _missing_told(digest):
            data = await asyncio.to_thread(self._blob(digest).read_bytes)
        _require(digest, digest_of(data))
        return data

    async def check(self, digest: str) -> None:
        """See `Source.check`."""
        with _missing_told(digest):
            found = await asyncio.to_thread(_hashed, self._blob(digest))
        _require(digest, found)

    async def referrers(self, digest: str) -> list[dict[str, Any]]:  # noqa: ARG002 - the port's
        """None: what So1s attaches in a layout has a tag."""
        return []

    def _blob(self, digest: str) -> Path:
        algorithm, _, name = digest.partition(":")
        return self._directory / "blobs" / algorithm / name

    def _tagged(self, tag: str) -> str | None:
        path = self._directory / "index.json"
        entries = json.loads(path.read_bytes())["manifests"] if path.is_file() else []
        named = (each["digest"] for each in entries if each.get("annotations", {}).get(_NAME) == tag)
        return next(named, None)


class Repository:
    """A repository of a registry; see `Source`."""

    def __init__(self, session: Session, repository: str) -> None:
        self._session = session
        self._repository = repository

    async def find(self, reference: str) -> tuple[str, dict[str, Any]] | None:
        """See `Source.find`."""
        data = await self._session.manifest(self._repository, reference)
        if data is None:
            return None
        digest = digest_of(data)
        if _DIGEST.fullmatch(reference):
            _require(reference, digest)
        return digest, json.loads(data)

    async def blob(self, digest: str) -> bytes:
        """See `Source.blob`."""
        with _missing_told(digest):
            data = await self._session.blob(self._repository, digest)
        _require(digest, digest_of(data))
        return data

    async def check(self, digest: str) -> None:
        """See `Source.check`."""
        sha256 = hashlib.sha256()
        with _missing_told(digest):
            async for chunk in self._session.stream(self._repository, digest):
                sha256.update(chunk)
        _require(digest, f"sha256:{sha256.hexdigest()}")

    async def referrers(self, digest: str) -> list[dict[str, Any]]:
        """See `Source.referrers`; the tag that stands in where a registry has no such API is read, too."""
        index = await self._session.referrers(self._repository, digest)
        if index is None:
            found = await self.find(referrers_tag(digest))
            index = found[1] if found else {}
        return index.get("manifests") or []


def _hashed(path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
    return f"sha256:{sha256.hexdigest()}"


@contextmanager
def _missing_told(digest: str) -> Generator[None, None, None]:
    """What a place does not have, it will not have later: another try is in vain."""
    try:
        yield
    except (FileNotFoundError, NotThere) as error:
        raise NotVerified("missing", f"{digest} is not there") from error


def _require(digest: str, found: str) -> None:
    if found != digest:
        raise Changed(f"{digest} was changed: its bytes have the digest {found}")

"""Pushes images of OCI layouts to a registry; layers that several share go there once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from deploy.images.credentials import Credentials
from so1s.registry import MANIFEST, Document, Registry, Session


@dataclass(frozen=True)
class Destination:
    """Below what name images go."""

    url: str
    """Of the registry."""
    host: str
    prefix: str
    """Of repositories; with a slash at its end, where there is one."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST/PREFIX`; `http://HOST/PREFIX` is a registry that speaks no TLS.

        Raises:
            ValueError: it is something else.
        """
        parts = urlsplit(text if "://" in text else f"https://{text}")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError(
                "registry: allowed: HOST/PREFIX, or http://HOST/PREFIX; credentials come otherwise"
            )
        prefix = f"{parts.path.strip('/')}/".lstrip("/")
        return cls(f"{parts.scheme}://{parts.netloc}", parts.netloc, prefix)


@dataclass
class Pusher:
    """A connection to a registry while images are pushed."""

    destination: Destination
    _session: Session
    _pushed: dict[str, str] = field(default_factory=dict)
    """In which repository each blob is, of those that were pushed here."""

    async def push(self, layout: Path, digest: str, *, name: str, tag: str) -> str:
        """Push one image, and let the tag point to it; answers its reference by digest.

        Raises:
            TemporaryError: the registry is away, or refuses.
        """
        data = await asyncio.to_thread(_blob(layout, digest).read_bytes)
        manifest = json.loads(data)
        repository = f"{self.destination.prefix}{name}"
        for described in (manifest["config"], *manifest["layers"]):
            await self._push_blob(repository, described, _blob(layout, described["digest"]))
        for reference in (digest, tag):
            await self._session.put_manifest(repository, reference, Document(MANIFEST, data, digest))
        return f"{self.destination.host}/{repository}@{digest}"

    async def _push_blob(self, repository: str, described: dict[str, Any], file: Path) -> None:
        digest, size = described["digest"], described["size"]
        if source := self._pushed.get(digest):
            await self._session.mount(repository, digest, size, source=source)
            return

        async def read(offset: int, length: int) -> bytes:
            return await asyncio.to_thread(_read, file, offset, length)

        await self._session.put_blob(repository, digest, size, read)
        self._pushed[digest] = repository


@asynccontextmanager
async def pusher(destination: Destination, credentials: Credentials) -> AsyncGenerator[Pusher, None]:
    """Connect to a registry.

    Raises:
        ValueError: the credentials cannot be read.
    """
    user, password = credentials.of(destination.host)
    registry = Registry(destination.url, user=user, password=password, ca_file=credentials.ca_file)
    async with registry.session() as session:
        yield Pusher(destination, session)


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _read(file: Path, offset: int, length: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)

"""Uploads that go through the console to a directory of its machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from services.console.domain.upload import Offer, Put, Upload
from so1s.errors import InvalidInput, Unreachable

_BLOCK_BYTES = 1 << 20
"""Bytes go to the disk in blocks, in a thread, so that others are answered meanwhile."""


class DirectoryUploads:
    """A directory; see `Uploads` and `Receiver`."""

    def __init__(self, base: str, url_seconds: int) -> None:
        self._base = base
        self._root = Path(unquote(urlsplit(base, allow_fragments=False).path))
        self._seconds = url_seconds

    async def offer(self, upload: Upload) -> Offer:
        """See `Uploads`."""
        if self._has(upload):
            return Offer(self._uri(upload), None)
        headers = {"content-length": str(upload.size_bytes)}
        return Offer(self._uri(upload), Put(f"/v1/artifacts/{upload.key}", headers, self._seconds))

    async def receive(self, upload: Upload, chunks: AsyncIterable[bytes]) -> str:
        """See `Receiver`."""
        if not self._has(upload):
            with self._reached():
                await self._receive(upload, chunks)
        return self._uri(upload)

    async def _receive(self, upload: Upload, chunks: AsyncIterable[bytes]) -> None:
        final = self._root / upload.key
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".") as beside:
            part = Path(beside) / "part"
            with part.open("wb") as file:
                await _write(upload, chunks, file)
            part.replace(final)  # a builder sees all of it or none

    def _has(self, upload: Upload) -> bool:
        with self._reached():
            try:
                (self._root / upload.key).stat()
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _reached(self) -> Generator[None, None, None]:
        """Tell what the disk refuses, such as for want of room or of permission, as a matter of the place."""
        try:
            yield
        except OSError as error:
            raise Unreachable(f"{self._base} cannot be used: {error.strerror}") from error

    def _uri(self, upload: Upload) -> str:
        return self._base + quote(upload.key)


async def _write(upload: Upload, chunks: AsyncIterable[bytes], file: BinaryIO) -> None:
    sha256, size = hashlib.sha256(), 0
    block = bytearray()

    def flush() -> None:
        sha256.update(block)
        file.write(block)
        block.clear()

    async for chunk in chunks:
        size += len(chunk)
        if size > upload.size_bytes:
            raise InvalidInput.of("body", f"more than {size - 1} bytes", _allowed(upload))
        block += chunk
        if len(block) >= _BLOCK_BYTES:
            await asyncio.to_thread(flush)
    await asyncio.to_thread(flush)
    if size != upload.size_bytes:
        raise InvalidInput.of("body", f"{size} bytes", _allowed(upload))
    if sha256.hexdigest() != upload.sha256:
        raise InvalidInput.of("body", f"bytes of sha256 {sha256.hexdigest()}", _allowed(upload))
    await asyncio.to_thread(_sync, file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _allowed(upload: Upload) -> str:
    return f"allowed: {upload.size_bytes} bytes of sha256 {upload.sha256}, as was said"

"""A repository of a real registry, as who verifies images finds it.

A registry that tells another manifest than it was asked for is played elsewhere: this one looks itself.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from so1s.registry import Document
from so1s.supply_chain.evidence import Source
from so1s.supply_chain.places import Repository
from so1s_lab.registry import Registry
from tests.builder.test_supply_sources import (  # noqa: F401 - the port's conformance suite
    TAG,
    blob,
    manifest,
    test_a_blob_is_told_whole,
    test_a_blob_that_is_not_there_is_missing_and_not_waited_for,
    test_a_manifest_is_found_by_its_digest_and_by_a_tag,
    test_a_manifest_that_is_not_there_is_none,
    test_an_image_that_nothing_refers_to_has_no_referrers,
    test_other_bytes_than_a_digest_says_are_changed,
)
from tests.lab.pushing import client


class Repositories:
    """A repository of its own, and the disk of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._repository = f"so1s/{uuid.uuid4().hex[:8]}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        async with client(self._registry).session() as session:
            yield Repository(session, self._repository)

    async def put(self, blob: Document, manifest: Document) -> None:  # noqa: F811

        async def read(offset: int, length: int) -> bytes:
            return blob.data[offset : offset + length]

        async with client(self._registry).session() as session:
            await session.put_blob(self._repository, blob.digest, len(blob.data), read)
            for reference in (manifest.digest, TAG):
                await session.put_manifest(self._repository, reference, manifest)

    def spoil(self, digest: str) -> None:
        self._file(digest).write_bytes(b"{}")

    def lose(self, digest: str) -> None:
        self._file(digest).unlink()

    def _file(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self._registry.blobs / "sha256" / name[:2] / name / "data"


@pytest.fixture
def place(registry: Registry) -> Repositories:
    return Repositories(registry)

"""What every place of images promises to who verifies them; the lab holds a registry to the same."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from so1s.registry import CONFIG, MANIFEST, Document, Session
from so1s.supply_chain.evidence import Source
from so1s.supply_chain.places import Layout, Repository
from so1s.supply_chain.refusal import Changed, NotVerified
from tests.builder.fake_registry import URL, FakeRegistry

TAG = "sha256-1.sig"


class Place(Protocol):
    """A place that holds one image."""

    def open(self) -> AbstractAsyncContextManager[Source]: ...

    async def put(self, blob: Document, manifest: Document) -> None:
        """Put a manifest there, under its digest and the tag, and the blob that it names."""

    def spoil(self, digest: str) -> None:
        """Let other bytes bear the digest of a blob or a manifest."""

    def lose(self, digest: str) -> None:
        """Let a blob be gone."""


class Directory:
    """An OCI image layout."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        yield Layout(self._path)

    async def put(self, blob: Document, manifest: Document) -> None:
        self._blob(blob.digest).parent.mkdir(parents=True)
        for each in (blob, manifest):
            self._blob(each.digest).write_bytes(each.data)
        named = {"digest": manifest.digest, "annotations": {"org.opencontainers.image.ref.name": TAG}}
        (self._path / "index.json").write_text(json.dumps({"manifests": [named]}))

    def spoil(self, digest: str) -> None:
        self._blob(digest).write_bytes(b"{}")

    def lose(self, digest: str) -> None:
        self._blob(digest).unlink()

    def _blob(self, digest: str) -> Path:
        return self._path / "blobs" / digest.replace(":", "/")


class Played:
    """A registry that has no API for referrers."""

    def __init__(self) -> None:
        self._fake = FakeRegistry()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        transport = httpx.MockTransport(self._fake)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            yield Repository(Session(client), "fraud")

    async def put(self, blob: Document, manifest: Document) -> None:
        self._fake.blobs["fraud", blob.digest] = blob.data
        self._fake.manifests |= dict.fromkeys((manifest.digest, TAG), manifest.data)

    def spoil(self, digest: str) -> None:
        kept = self._fake.manifests if digest in self._fake.manifests else self._fake.blobs
        kept[digest if kept is self._fake.manifests else ("fraud", digest)] = b"{}"

    def lose(self, digest: str) -> None:
        del self._fake.blobs["fraud", digest]


@pytest.fixture(params=["layout", "registry"])
def place(request, tmp_path) -> Place:
    return Directory(tmp_path / "images") if request.param == "layout" else Played()


@pytest.fixture
def blob() -> Document:
    """One that no other test has."""
    return Document.of(CONFIG, {"author": uuid.uuid4().hex})


@pytest.fixture
async def manifest(place, blob) -> Document:
    """Of an image that is there."""
    named = {"mediaType": CONFIG, "digest": blob.digest, "size": len(blob.data)}
    made = Document.of(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": named, "layers": []})
    await place.put(blob, made)
    return made


async def test_a_manifest_is_found_by_its_digest_and_by_a_tag(place, manifest):
    async with place.open() as source:
        for reference in (manifest.digest, TAG):
            assert await source.find(reference) == (manifest.digest, json.loads(manifest.data))


async def test_a_manifest_that_is_not_there_is_none(place, manifest):
    async with place.open() as source:
        assert await source.find("sha256:" + "0" * 64) is None
        assert await source.find("sha256-2.sig") is None


async def test_a_blob_is_told_whole(place, manifest, blob):
    async with place.open() as source:
        assert await source.blob(blob.digest) == blob.data
        await source.check(blob.digest)


async def test_other_bytes_than_a_digest_says_are_changed(place, manifest, blob):
    place.spoil(blob.digest)
    async with place.open() as source:
        for asked in (source.blob, source.check):
            with pytest.raises(Changed, match=blob.digest):
                await asked(blob.digest)


async def test_another_manifest_than_a_digest_says_is_changed(place, manifest):
    place.spoil(manifest.digest)
    async with place.open() as source:
        with pytest.raises(Changed, match=manifest.digest):
            await source.find(manifest.digest)


async def test_a_blob_that_is_not_there_is_missing_and_not_waited_for(place, manifest, blob):
    place.lose(blob.digest)
    async with place.open() as source:
        for asked in (source.blob, source.check):
            with pytest.raises(NotVerified, match=blob.digest) as refused:
                await asked(blob.digest)
            assert refused.value.reason == "missing"


async def test_an_image_that_nothing_refers_to_has_no_referrers(place, manifest):
    async with place.open() as source:
        assert await source.referrers(manifest.digest) == []

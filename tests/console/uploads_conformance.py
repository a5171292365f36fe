"""What every adapter of the `Uploads` port promises to a pipeline, and to the builder that comes after it.

A module that makes a `place` runs them.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Protocol

import pytest

from services.builder.domain.archive import Limits
from services.builder.domain.location import Location
from services.builder.ports import Artifacts
from services.console.domain.upload import Offer, Upload
from services.console.ports import Uploads
from so1s.errors import Unreachable
from tests.console.conftest import digest

MIB = 2**20
PART_BYTES = 5 * MIB
"""Where a place takes what is larger in parts, these have that size."""
SMALL = b"weights" * 100_000


class Place(Protocol):
    """A place for artifacts that no other test has."""

    def uploads(self) -> Uploads:
        """As a console has it that starts now."""
        ...

    def away(self) -> Uploads:
        """A place that cannot be reached."""
        ...

    async def send(self, upload: Upload, offer: Offer, body: bytes, others: bytes | None = None) -> bool:
        """Do what an offer says, as a pipeline does; whether all of it was taken.

        Args:
            upload: what was said.
            offer: for that.
            body: of the upload.
            others: what is sent in its place.
        """
        ...

    async def fetch(self, uri: str) -> bytes:
        """What a builder gets that is told of a URI."""
        ...


def upload_of(body: bytes = SMALL, **changes: str) -> Upload:
    said = {"account": "risk", "model": "fraud", "version": "1", "file": "model.onnx"} | changes
    return Upload(**said, sha256=digest(body), size_bytes=len(body))


async def fetched(artifacts: Artifacts, base: str, uri: str) -> bytes:
    """What a builder fetches from below a base."""
    with tempfile.TemporaryDirectory() as into:
        limits = Limits(artifact_bytes=20 * MIB, unpacked_bytes=1, files=1, ratio=1)
        await artifacts.fetch(Location(uri, base), Path(into), limits)
        return _content(Path(into))


def _content(directory: Path) -> bytes:
    (file,) = directory.iterdir()
    return file.read_bytes()


async def sent(place: Place, body: bytes = SMALL, **changes: str) -> str:
    upload = upload_of(body, **changes)
    offer = await place.uploads().offer(upload)
    assert await place.send(upload, offer, body)
    return offer.uri


@pytest.mark.parametrize("size", [0, 1, len(SMALL), PART_BYTES, 2 * PART_BYTES + 1])
async def test_a_builder_finds_what_was_sent_where_the_offer_said(place, size):
    body = (SMALL * (size // len(SMALL) + 1))[:size]
    assert await place.fetch(await sent(place, body)) == body


async def test_bytes_are_asked_for_until_they_are_there(place):
    upload = upload_of()
    first = await place.uploads().offer(upload)
    again = await place.uploads().offer(upload)
    assert first.by is not None
    assert again.by is not None
    assert await place.send(upload, first, SMALL)
    assert await place.uploads().offer(upload) == Offer(first.uri, None)


@pytest.mark.parametrize("size", [len(SMALL), PART_BYTES + 1])
@pytest.mark.parametrize("others", ["fewer", "more", "wrong"])
async def test_nothing_is_kept_of_other_bytes_than_were_said(place, size, others):
    body = (SMALL * (size // len(SMALL) + 1))[:size]
    instead = {"fewer": body[:-1], "more": body + b"x", "wrong": body[:-1] + b"x"}[others]
    upload = upload_of(body)
    assert not await place.send(upload, await place.uploads().offer(upload), body, instead)
    offer = await place.uploads().offer(upload)
    assert offer.by is not None
    assert await place.send(upload, offer, body)
    assert await place.fetch(offer.uri) == body


async def test_each_version_and_each_content_has_a_place_of_its_own(place):
    said = [{}, {"version": "2"}, {"model": "churn"}, {"account": "shop"}, {"file": "model.skops"}]
    uris = [await sent(place, body, **changes) for body in (SMALL, SMALL[1:]) for changes in said]
    assert len(set(uris)) == len(uris)
    assert {await place.fetch(uri) for uri in uris} == {SMALL, SMALL[1:]}


async def test_those_who_send_the_same_bytes_at_once_all_succeed(place):
    uris = await asyncio.gather(*(sent(place) for _ in range(4)))
    assert len(set(uris)) == 1
    assert await place.fetch(uris[0]) == SMALL


async def test_a_place_that_is_away_is_named(place):
    away = place.away()
    with pytest.raises(Unreachable, match=r"://.*away"):
        await away.offer(upload_of())

"""The `Uploads` of a laptop, which go through the console to a directory; the lab has those to S3."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.builder.adapters.artifacts_file import FileArtifacts
from services.console.adapters.uploads_directory import DirectoryUploads
from services.console.domain.upload import Offer, Upload
from so1s.errors import InvalidInput, Unreachable
from tests.console.uploads_conformance import (  # noqa: F401 - the port's conformance suite
    SMALL,
    fetched,
    test_a_builder_finds_what_was_sent_where_the_offer_said,
    test_a_place_that_is_away_is_named,
    test_bytes_are_asked_for_until_they_are_there,
    test_each_version_and_each_content_has_a_place_of_its_own,
    test_nothing_is_kept_of_other_bytes_than_were_said,
    test_those_who_send_the_same_bytes_at_once_all_succeed,
    upload_of,
)


class Directory:
    """A directory, whose name has what a URI must quote."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._base = (directory / "my models %20#").as_uri() + "/"

    def uploads(self) -> DirectoryUploads:
        return DirectoryUploads(self._base, url_seconds=60)

    def away(self) -> DirectoryUploads:
        (self._directory / "away").write_text("no directory")
        return DirectoryUploads((self._directory / "away").as_uri() + "/", url_seconds=60)

    async def send(self, upload: Upload, offer: Offer, body: bytes, others: bytes | None = None) -> bool:
        assert offer.by is None or offer.by.url == f"/v1/artifacts/{upload.key}"
        try:
            assert (
                await self.uploads().receive(upload, _chunks(body if others is None else others)) == offer.uri
            )
        except InvalidInput:
            return False
        return True

    async def fetch(self, uri: str) -> bytes:
        return await fetched(FileArtifacts(), self._base, uri)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    step = 100_000
    for begin in range(0, len(body), step):
        yield body[begin : begin + step]


@pytest.fixture
def place(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


async def test_bytes_for_a_directory_that_is_away_are_to_be_sent_again(place):
    with pytest.raises(Unreachable, match=r"://.*away/ cannot be used: Not a directory$"):
        await place.away().receive(upload_of(), _chunks(SMALL))

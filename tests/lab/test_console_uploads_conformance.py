"""The `Uploads` of a cluster, which go to an S3 that enforces signatures and checksums."""

import uuid

import httpx
import pytest

from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.settings import S3Settings
from services.console.adapters.uploads_s3 import S3Uploads
from services.console.domain.parts import Begun, Part, PartsAsked
from services.console.domain.upload import Offer, Parts, Put, Upload
from services.console.settings import UploadSettings
from so1s.errors import InvalidInput
from tests.console.conftest import digest
from tests.console.uploads_conformance import (  # noqa: F401 - the port's conformance suite
    PART_BYTES,
    fetched,
    test_a_builder_finds_what_was_sent_where_the_offer_said,
    test_a_place_that_is_away_is_named,
    test_bytes_are_asked_for_until_they_are_there,
    test_each_version_and_each_content_has_a_place_of_its_own,
    test_nothing_is_kept_of_other_bytes_than_were_said,
    test_those_who_send_the_same_bytes_at_once_all_succeed,
)
from tests.lab.test_console_uploads import settings  # noqa: F401 - a fixture

# ruff: noqa: F811 - of a fixture


class Bucket:
    """A prefix in a bucket, whose name has what a URL must quote."""

    def __init__(self, settings: UploadSettings) -> None:
        self._settings = settings
        self._uploads = S3Uploads(settings)  # it remembers nothing; its clients take long to make
        keys = {name: value for name, value in settings if name in S3Settings.model_fields}
        self._artifacts = S3Artifacts(S3Settings(**keys))

    def uploads(self) -> S3Uploads:
        return self._uploads

    def away(self) -> S3Uploads:
        nobody = {"artifacts": "s3://uploads/away/", "s3_endpoint_url": "http://127.0.0.1:1"}
        return S3Uploads(self._settings.model_copy(update=nobody))

    async def send(self, upload: Upload, offer: Offer, body: bytes, others: bytes | None = None) -> bool:
        instead = body if others is None else others
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            match offer.by:
                case Put() as put:
                    return await _sent(http, put, instead)
                case Parts() as parts:
                    begun = Begun(**upload.model_dump(), upload_id=parts.upload_id)
                    return await self._send_parts(http, begun, _cut(body, parts), _cut(instead, parts))
        return True

    async def _send_parts(
        self, http: httpx.AsyncClient, begun: Begun, said: list[bytes], sent: list[bytes]
    ) -> bool:
        parts = [Part(number=number, sha256=digest(each)) for number, each in enumerate(said, start=1)]
        signed = await self.uploads().parts.sign(PartsAsked(**begun.model_dump(), parts=parts))
        taken = [await _sent(http, put, each) for put, each in zip(signed, sent, strict=True)]
        try:
            await self.uploads().parts.complete(begun)
        except InvalidInput:
            return False
        return all(taken)

    async def fetch(self, uri: str) -> bytes:
        return await fetched(self._artifacts, self._settings.artifacts, uri)


def _cut(body: bytes, parts: Parts) -> list[bytes]:
    """All of it; the last part has what is left."""
    begins = [number * parts.part_bytes for number in range(parts.count)]
    return [body[begin:end] for begin, end in zip(begins, [*begins[1:], None], strict=True)]


async def _sent(http: httpx.AsyncClient, put: Put, body: bytes) -> bool:
    length = {"content-length": str(len(body))}
    return (await http.put(put.url, content=body, headers={**put.headers, **length})).is_success


@pytest.fixture
def place(settings) -> Bucket:
    artifacts = f"s3://uploads/my models %20+/{uuid.uuid4().hex[:8]}/"
    return Bucket(settings.model_copy(update={"artifacts": artifacts, "part_bytes": PART_BYTES}))

"""Uploads in parts to an S3 that enforces signatures and checksums, and tells what it has."""

import pytest
from pydantic import SecretStr

from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.domain.archive import Limits
from services.builder.domain.location import Location
from services.builder.settings import S3Settings
from services.console.settings import UploadSettings

# ruff: noqa: F401, F811 - pytest collects what is imported
from tests.console.test_console_parts import (
    BUCKET,
    MIB,
    Unreachable,
    impatient,
    key_of,
    pipeline,
    relay,
    store,
    test_a_large_file_arrives_whole_in_parts_and_is_not_sent_again,
    test_a_store_that_is_away_keeps_what_was_sent_for_a_repetition,
    test_an_upload_without_all_its_parts_is_not_completed,
    test_nothing_is_kept_of_what_a_store_refuses,
    test_only_the_part_that_a_store_lost_is_sent_again,
    test_what_is_sent_of_an_upload_that_nobody_goes_on_with_is_dropped,
    wanted,
)


@pytest.fixture
def store_settings(s3):
    return UploadSettings(
        artifacts=f"s3://{BUCKET}/ml/",
        s3_endpoint_url=s3.endpoint,
        s3_region=s3.region,
        s3_access_key_id=SecretStr(s3.access_key),
        s3_secret_access_key=SecretStr(s3.secret_key),
        part_bytes=5 * MIB,
    )


async def test_a_repetition_sends_only_the_parts_that_are_missing(pipeline, relay):
    file = pipeline.file(12 * MIB)
    relay.answers = lambda number, _times: 503 if number == 3 else None
    with pytest.raises(Unreachable):
        await pipeline.upload(file, "5")
    relay.answers = lambda _number, _times: None
    relay.parts.clear()
    await pipeline.upload(file, "5")
    assert relay.parts == {3: 1}


async def test_the_builder_fetches_what_came_in_parts_by_the_checksum_of_the_whole(pipeline, s3, tmp_path):
    file = pipeline.file(12 * MIB)
    artifact = await pipeline.upload(file, "7")
    artifacts = S3Artifacts(
        S3Settings(
            s3_endpoint_url=s3.endpoint,
            s3_region=s3.region,
            s3_access_key_id=SecretStr(s3.access_key),
            s3_secret_access_key=SecretStr(s3.secret_key),
        )
    )
    (tmp_path / "fetched").mkdir()
    location = Location(artifact.uri, f"s3://{BUCKET}/ml/risk/")
    limits = Limits(artifact_bytes=12 * MIB, unpacked_bytes=1, files=1, ratio=1)
    fetched = await artifacts.fetch(location, tmp_path / "fetched", limits)
    assert (fetched.sha256, fetched.size_bytes) == (artifact.sha256, 12 * MIB)


async def test_a_signed_part_takes_no_other_bytes(pipeline, relay, store):
    said = wanted(12 * MIB, version="6")
    upload_id = (await pipeline.ask("", said)).json()["upload"]["upload_id"]
    parts = [{"number": 1, "sha256": "a" * 64}]
    (signed,) = (await pipeline.ask("/parts", said | {"upload_id": upload_id, "parts": parts})).json()[
        "parts"
    ]
    sent = await pipeline.console.http.put(signed["url"], content=b"x" * (5 * MIB), headers=signed["headers"])
    assert sent.status_code in {400, 403}
    answer = await pipeline.ask("/complete", said | {"upload_id": upload_id})
    assert answer.json()["problems"][0]["field"] == "parts"

"""Artifacts in an S3 that enforces access, signatures and checksums."""

import contextlib

import boto3
import pytest
from pydantic import SecretStr

from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.domain.failure import BuildError
from services.builder.domain.location import Location
from services.builder.settings import S3Settings
from so1s.errors import TemporaryError
from so1s_lab.s3 import S3, Keys

# ruff: noqa: F401, F811 - pytest collects what is imported
from tests.builder.test_builder_artifacts import (
    BUCKET,
    LIMITS,
    Bucket,
    Place,
    into,
    test_a_directory_comes_as_a_tree_whose_checksum_covers_names_and_bytes,
    test_a_directory_of_too_many_files_is_refused,
    test_an_absent_artifact_is_a_failed_build,
    test_an_artifact_above_its_limit_is_refused_before_all_of_it_is_read,
    test_one_object_comes_under_its_own_name_with_its_checksum,
)


def artifacts(s3: S3, keys: Keys) -> S3Artifacts:
    return S3Artifacts(
        S3Settings(
            s3_endpoint_url=s3.endpoint,
            s3_region=s3.region,
            s3_access_key_id=SecretStr(keys.access_key),
            s3_secret_access_key=SecretStr(keys.secret_key),
        )
    )


@pytest.fixture(scope="module")
def client(s3):
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
    )
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def place(s3, client, tmp_path) -> Place:
    return Bucket(client, artifacts(s3, s3.keys), f"s3://{BUCKET}/{tmp_path.name}/")


async def test_a_directory_of_more_files_than_one_listing_has_comes_whole(place, into):
    count = 1001  # a page of S3 has a thousand
    for number in range(count):
        place.put(f"many/{number}", b"x")
    limits = type(LIMITS)(artifact_bytes=10_000, unpacked_bytes=1, files=count, ratio=1)

    fetched = await place.artifacts.fetch(Location(f"{place.prefix}many/", place.prefix), into, limits)

    assert fetched.files == count


async def test_what_came_in_parts_comes_as_one(place, client, into):
    key = f"{place.prefix.removeprefix(f's3://{BUCKET}/')}parts"
    upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    parts = []
    for number, data in enumerate((b"a" * 5 * 2**20, b"b"), start=1):
        tag = client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=data)
        parts.append({"PartNumber": number, "ETag": tag["ETag"]})
    client.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    limits = type(LIMITS)(artifact_bytes=10**7, unpacked_bytes=1, files=1, ratio=1)

    fetched = await place.artifacts.fetch(Location(f"{place.prefix}parts", place.prefix), into, limits)

    assert fetched.size_bytes == 5 * 2**20 + 1
    assert (into / "parts").read_bytes().endswith(b"ab")


async def test_a_bucket_that_is_not_there_is_a_failed_build(place, into):
    with pytest.raises(BuildError, match="does not exist"):
        await place.artifacts.fetch(Location("s3://nowhere/model", "s3://nowhere/"), into, LIMITS)


@pytest.mark.parametrize("name", ["model", "out/"])
async def test_a_builder_that_may_not_read_is_told_apart_from_an_absent_artifact(s3, place, into, name):
    place.put("model", b"x")
    place.put("out/model", b"x")

    with pytest.raises(BuildError, match="may not read") as error:
        await artifacts(s3, s3.stranger).fetch(Location(f"{place.prefix}{name}", place.prefix), into, LIMITS)

    assert error.value.reason == "artifact"


@pytest.mark.parametrize("name", ["model", "out/"])
@pytest.mark.parametrize("who", ["a wrong secret", "nobody known"])
async def test_wrong_keys_of_the_builder_are_no_fault_of_the_artifact(s3, place, into, name, who):
    """They are mended or renewed, and the build goes on."""
    place.put("model", b"x")
    place.put("out/model", b"x")
    keys = {"a wrong secret": Keys(s3.access_key, "guessed")}.get(who, Keys())

    with pytest.raises(TemporaryError, match="cannot be read now"):
        await artifacts(s3, keys).fetch(Location(f"{place.prefix}{name}", place.prefix), into, LIMITS)

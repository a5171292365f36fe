"""A pipeline's uploads to an S3 that enforces access and checksums."""

import contextlib

import pytest
from pydantic import SecretStr

from so1s.artifacts import target, upload
from so1s.errors import So1sError
from so1s.platform import ClientSettings

# ruff: noqa: F401, F811 - pytest collects what is imported
from tests.publisher.test_uploads_s3 import (
    client,
    large,
    test_a_large_file_arrives_whole,
    test_a_missing_bucket_is_named,
    test_a_repeated_upload_sends_nothing,
)


@pytest.fixture
def settings(s3):
    settings = ClientSettings(
        artifacts="s3://models/ml/",
        s3_endpoint_url=s3.endpoint,
        s3_region=s3.region,
        s3_access_key_id=SecretStr(s3.access_key),
        s3_secret_access_key=SecretStr(s3.secret_key),
    )
    store = client(settings)
    with contextlib.suppress(store.exceptions.BucketAlreadyOwnedByYou):
        store.create_bucket(Bucket="models")
    return settings


def test_a_pipeline_that_may_not_write_is_told_where(s3, settings, large):
    keys = {
        "s3_access_key_id": SecretStr(s3.stranger.access_key),
        "s3_secret_access_key": SecretStr(s3.stranger.secret_key),
    }
    with pytest.raises(So1sError, match=r"s3://models/ml/risk/fraud/9/.*AccessDenied"):
        upload(large, target(settings.model_copy(update=keys)), prefix="risk/fraud/9")

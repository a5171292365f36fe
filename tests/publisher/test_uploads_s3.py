"""Uploads to S3, beside a server that speaks its protocol."""

import boto3
import pytest
from pydantic import SecretStr

from so1s.artifacts import target, upload
from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.platform import ClientSettings


@pytest.fixture
def settings(s3_url):
    settings = ClientSettings(
        artifacts="s3://models/ml/",
        s3_endpoint_url=s3_url,
        s3_region="us-east-1",
        s3_access_key_id=SecretStr("key"),
        s3_secret_access_key=SecretStr("secret"),
    )
    client(settings).create_bucket(Bucket="models")
    return settings


def client(settings):
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=settings.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
    )


@pytest.fixture
def large(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"w" * (17 * 1024 * 1024))  # over the size of one part
    return file


def test_a_large_file_arrives_whole(settings, large):
    artifact = upload(large, target(settings), prefix="risk/fraud/3")
    assert artifact.uri == f"s3://models/ml/risk/fraud/3/{artifact.sha256}/model.onnx"
    body = client(settings).get_object(Bucket="models", Key=artifact.uri.removeprefix("s3://models/"))["Body"]
    assert body.read() == large.read_bytes()


def test_a_repeated_upload_sends_nothing(settings, large):
    first = upload(large, target(settings), prefix="risk/fraud/4")
    key = {"Bucket": "models", "Key": first.uri.removeprefix("s3://models/")}
    before = client(settings).head_object(**key)["LastModified"]
    client(settings).put_object_tagging(**key, Tagging={"TagSet": [{"Key": "seen", "Value": "yes"}]})
    assert upload(large, target(settings), prefix="risk/fraud/4") == first
    assert client(settings).head_object(**key)["LastModified"] == before
    assert client(settings).get_object_tagging(**key)["TagSet"] != []  # a second put would have dropped it


def test_a_missing_bucket_is_named(settings, large):
    elsewhere = settings.model_copy(update={"artifacts": "s3://nowhere/models/"})
    with pytest.raises(So1sError, match=r"s3://nowhere/models/risk/.*NoSuchBucket"):
        upload(large, target(elsewhere), prefix="risk/fraud/3")


def test_a_store_that_is_away_is_named(settings, large):
    away = settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(Unreachable, match="s3://models/ml/ does not answer"):
        upload(large, target(away), prefix="risk/fraud/3")


@pytest.mark.parametrize("base", ["", "s3://models", "https://ml/x/", "file:///tmp"])
def test_another_kind_of_place_is_refused(base):
    with pytest.raises(InvalidInput, match="SO1S_ARTIFACTS"):
        target(ClientSettings(artifacts=base))

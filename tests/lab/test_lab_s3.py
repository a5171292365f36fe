"""S3 that enforces what it is told: checksums, signatures, parts."""

import base64
import hashlib
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError


@pytest.fixture
def client(s3):
    return boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def bucket(client) -> str:
    name = f"lab-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return name


def test_what_was_put_is_there_with_its_checksum(client, bucket):
    client.put_object(Bucket=bucket, Key="risk/model", Body=b"bytes", ChecksumAlgorithm="SHA256")
    found = client.get_object(Bucket=bucket, Key="risk/model", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"bytes"
    assert base64.b64decode(found["ChecksumSHA256"]) == hashlib.sha256(b"bytes").digest()


def test_a_wrong_checksum_is_refused(client, bucket):
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    with pytest.raises(ClientError):
        client.put_object(Bucket=bucket, Key="model", Body=b"bytes", ChecksumSHA256=wrong)


def test_a_wrong_secret_is_refused(s3, bucket):
    stranger = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key="guessed",
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_objects_v2(Bucket=bucket)

"""Clients of S3, or of anything that speaks its protocol."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from services.console.settings import UploadSettings
from so1s.errors import Unreachable

_ANSWER_SECONDS = 10
_NOT_FOUND = 404


def make_client(
    settings: UploadSettings, endpoint_url: str | None, answer_seconds: float = _ANSWER_SECONDS
) -> Any:
    """A client of boto3 at one of the store's addresses; AWS where that is None."""
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=answer_seconds,
            retries={"mode": "standard"},
            s3={"addressing_style": "path" if endpoint_url else "virtual"},
        ),
    )


def has(s3: Any, bucket: str, key: str, size_bytes: int) -> bool:
    """Whether there is an object of this size.

    Raises:
        Unreachable: nobody answers that.
    """
    place = f"s3://{bucket}/{key}"
    try:
        return s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == size_bytes
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == _NOT_FOUND:
            return False
        raise Unreachable(f"{place} cannot be read: {error}") from error
    except BotoCoreError as error:
        raise Unreachable(f"{place} does not answer: {error}") from error

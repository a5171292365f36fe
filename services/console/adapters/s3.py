"""Clients of S3, or of anything that speaks its protocol."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from services.console.settings import UploadSettings


def make_client(settings: UploadSettings, endpoint_url: str | None) -> Any:
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
            read_timeout=10,
            retries={"mode": "standard"},
            s3={"addressing_style": "path" if endpoint_url else "virtual"},
        ),
    )

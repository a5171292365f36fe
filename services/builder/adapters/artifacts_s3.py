"""Artifacts in S3, or in anything that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.builder.adapters.receiving import Receiver
from services.builder.domain.archive import Limits
from services.builder.domain.failure import BuildError
from services.builder.domain.location import Location
from services.builder.layers import CHUNK_BYTES
from services.builder.ports import Fetched
from services.builder.settings import S3Settings
from services.builder.stop import Stop, in_thread
from so1s.errors import TemporaryError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_ABSENT = {"404", "NoSuchKey", "NoSuchBucket", "NotFound"}
_FORBIDDEN = {"403", "AccessDenied", "Forbidden", "AllAccessDisabled"}
"""Of this artifact. What is wrong with the builder's own keys is no author's fault, and may be mended."""


class S3Artifacts:
    """Reads `s3://BUCKET/KEY` and, with a `/` at its end, all below a prefix."""

    def __init__(self, settings: S3Settings) -> None:
        import boto3
        from botocore.config import Config

        # boto3's clients are safe to share between threads.
        self._s3 = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            region_name=settings.s3_region,
            aws_access_key_id=_reveal(settings.s3_access_key_id),
            aws_secret_access_key=_reveal(settings.s3_secret_access_key),
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
            ),
        )

    async def fetch(self, location: Location, into: Path, limits: Limits) -> Fetched:
        """See `ports.Artifacts`."""
        return await in_thread(self._fetch, location, into, limits)

    def _fetch(self, stop: Stop, location: Location, into: Path, limits: Limits) -> Fetched:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        bucket, _, key = location.uri.removeprefix("s3://").partition("/")
        receiver = Receiver(stop, into, limits)
        try:
            if not location.is_directory:
                receiver.receive(location.file_name, self._chunks(bucket, key))
                return receiver.fetched_object()
            for each in self._keys(bucket, key):
                receiver.receive(each.removeprefix(key), self._chunks(bucket, each))
        except ClientError as error:
            raise _error(error, location) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise TemporaryError(f"{location.uri} cannot be read now: {error}") from error
        return receiver.fetched_directory()

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        if not keys:
            raise BuildError("artifact", f"s3://{bucket}/{prefix} does not exist")
        # A key that ends with "/" is how consoles make an empty folder.
        return (key for key in keys if not key.endswith("/"))

    def _chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        body: Any = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
        with body:
            yield from body.iter_chunks(CHUNK_BYTES)


def _reveal(secret: Any) -> str | None:
    return secret.get_secret_value() if secret else None


def _error(error: ClientError, location: Location) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _ABSENT:
        return BuildError("artifact", f"{location.uri} does not exist")
    if code in _FORBIDDEN:
        return BuildError("artifact", f"the builder may not read {location.uri} ({code})")
    return TemporaryError(f"{location.uri} cannot be read now: {error}")

"""Uploads that go to S3 themselves, by presigned URLs.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
The signature covers the key, the length and the SHA-256, so that S3 takes these bytes and no others.
"""

from __future__ import annotations

import asyncio
import base64

from botocore.exceptions import BotoCoreError, ClientError

from services.console.adapters.s3 import make_client
from services.console.domain.upload import Offer, Put, Upload
from services.console.settings import UploadSettings
from so1s.errors import Unreachable

_NOT_FOUND = 404


class S3Uploads:
    """A prefix in S3, or in anything that speaks its protocol; see `Uploads`."""

    def __init__(self, settings: UploadSettings) -> None:
        self._base = settings.artifacts
        self._bucket, _, self._prefix = settings.artifacts.removeprefix("s3://").partition("/")
        self._seconds = settings.upload_url_seconds
        self._s3 = make_client(settings, settings.s3_endpoint_url)
        public = settings.s3_public_endpoint_url
        self._signer = make_client(settings, public) if public else self._s3

    async def offer(self, upload: Upload) -> Offer:
        """See `Uploads`."""
        is_there = await asyncio.to_thread(self._has, upload)
        return Offer(self._base + upload.key, None if is_there else self._put(upload))

    def _has(self, upload: Upload) -> bool:
        try:
            found = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + upload.key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == _NOT_FOUND:
                return False
            raise Unreachable(f"{self._base} cannot be read: {error}") from error
        except BotoCoreError as error:
            raise Unreachable(f"{self._base} does not answer: {error}") from error
        return found["ContentLength"] == upload.size_bytes

    def _put(self, upload: Upload) -> Put:
        checksum = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        signed = {
            "Bucket": self._bucket,
            "Key": self._prefix + upload.key,
            "ContentLength": upload.size_bytes,
            "ChecksumSHA256": checksum,
        }
        url = self._signer.generate_presigned_url("put_object", Params=signed, ExpiresIn=self._seconds)
        headers = {"content-length": str(upload.size_bytes), "x-amz-checksum-sha256": checksum}
        return Put(url, headers, self._seconds)

"""Uploads that go to S3 themselves, by presigned URLs.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
The signature covers the key, the length and the SHA-256, so that S3 takes these bytes and no others.
"""

from __future__ import annotations

import asyncio
import base64

from services.console.adapters.parts_s3 import S3Parts
from services.console.adapters.s3 import has, make_client
from services.console.domain.upload import Offer, Put, Upload
from services.console.settings import UploadSettings


class S3Uploads:
    """A prefix in S3, or in anything that speaks its protocol; see `Uploads`."""

    def __init__(self, settings: UploadSettings) -> None:
        self._base = settings.artifacts
        self._bucket, _, self._prefix = settings.artifacts.removeprefix("s3://").partition("/")
        self._seconds = settings.upload_url_seconds
        self._s3 = make_client(settings, settings.s3_endpoint_url)
        public = settings.s3_public_endpoint_url
        self._signer = make_client(settings, public) if public else self._s3
        self._part_bytes = settings.part_bytes
        self.parts = S3Parts(settings, self._signer)

    async def offer(self, upload: Upload) -> Offer:
        """See `Uploads`."""
        uri = self._base + upload.key
        if await asyncio.to_thread(has, self._s3, self._bucket, self._prefix + upload.key, upload.size_bytes):
            return Offer(uri, None)
        if upload.size_bytes > self._part_bytes:
            return Offer(uri, await self.parts.begin(upload))
        return Offer(uri, self._put(upload))

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

"""Uploads to S3 in parts, each by a presigned URL.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
The signature covers the upload, the part's number, length and SHA-256, so that S3 takes these bytes and
no others. What was sent is read from S3 itself: the console remembers nothing of an upload.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from services.console.adapters.s3 import has, make_client
from services.console.domain.parts import Begun, Part, PartsAsked, Plan, Sent, check_whole, plan
from services.console.domain.upload import Parts, Put, Upload, is_artifact
from services.console.settings import UploadSettings
from so1s.errors import InvalidInput, Unreachable

log = structlog.get_logger()

_COMPLETION_SECONDS = 300
"""A store may copy the parts together before it answers."""
_ENDED = "NoSuchUpload"


class S3Parts:
    """A prefix in S3, or in anything that speaks its protocol; see `PartUploads`."""

    def __init__(self, settings: UploadSettings, signer: Any) -> None:
        self._base = settings.artifacts
        self._bucket, _, self._prefix = settings.artifacts.removeprefix("s3://").partition("/")
        self._seconds = settings.upload_url_seconds
        self._part_bytes = settings.part_bytes
        self._s3 = make_client(settings, settings.s3_endpoint_url, _COMPLETION_SECONDS)
        self._signer = signer

    async def begin(self, upload: Upload) -> Parts:
        """Begin an upload, or go on with one of the same bytes.

        Raises:
            Unreachable: the place does not answer.
        """
        return await asyncio.to_thread(self._begin, upload)

    async def sign(self, asked: PartsAsked) -> list[Put]:
        """See `PartUploads`."""
        cut = plan(asked.size_bytes, self._part_bytes)
        return [self._sign(asked, part, cut.bytes_of(part.number)) for part in asked.parts]

    async def complete(self, begun: Begun) -> str:
        """See `PartUploads`."""
        await asyncio.to_thread(self._complete, begun)
        return self._base + begun.key

    async def abort(self, begun: Begun) -> None:
        """See `PartUploads`."""
        await asyncio.to_thread(self._abort, self._prefix + begun.key, begun.upload_id)

    async def abort_abandoned(self, began_before: float) -> int:
        """See `PartUploads`."""
        return await asyncio.to_thread(self._abort_abandoned, began_before)

    def _begin(self, upload: Upload) -> Parts:
        key, cut = self._prefix + upload.key, plan(upload.size_bytes, self._part_bytes)
        if (found := self._earlier(key)) and (sent := self._fitting(key, found, cut)) is not None:
            return Parts(found, cut.part_bytes, cut.count, sent)
        said = {"ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}
        made = self._ask("create_multipart_upload", Key=key, **said)
        return Parts(made["UploadId"], cut.part_bytes, cut.count, {})

    def _earlier(self, key: str) -> str | None:
        """The newest upload of the same bytes that has not ended."""
        try:
            same = [each for each in self._uploads(key) if each["Key"] == key]
        except Unreachable as error:  # such as a policy that does not allow to list them
            log.warning("an earlier upload cannot be looked for; this one begins anew", reason=str(error))
            return None
        newest = max(same, key=lambda each: each["Initiated"], default=None)
        return newest["UploadId"] if newest else None

    def _fitting(self, key: str, upload_id: str, cut: Plan) -> dict[int, str] | None:
        """The parts that need not be sent again; None where the upload is cut otherwise, or has ended."""
        try:
            sent = list(self._sent(key, upload_id))
        except InvalidInput:
            return None
        if any(each.number > cut.count or each.size_bytes != cut.bytes_of(each.number) for each in sent):
            return None  # the settings have changed meanwhile
        return {each.number: each.sha256 for each in sent if each.sha256}

    def _sign(self, asked: PartsAsked, part: Part, size_bytes: int) -> Put:
        checksum = base64.b64encode(bytes.fromhex(part.sha256)).decode()
        signed = {
            "Bucket": self._bucket,
            "Key": self._prefix + asked.key,
            "UploadId": asked.upload_id,
            "PartNumber": part.number,
            "ContentLength": size_bytes,
            "ChecksumSHA256": checksum,
        }
        url = self._signer.generate_presigned_url("upload_part", Params=signed, ExpiresIn=self._seconds)
        headers = {"content-length": str(size_bytes), "x-amz-checksum-sha256": checksum}
        return Put(url, headers, self._seconds)

    def _complete(self, begun: Begun) -> None:
        key = self._prefix + begun.key
        try:
            sent = list(self._sent(key, begun.upload_id))
            check_whole(plan(begun.size_bytes, self._part_bytes), sent)
            parts = {"Parts": [_named(each) for each in sent]}
            self._ask("complete_multipart_upload", Key=key, UploadId=begun.upload_id, MultipartUpload=parts)
        except InvalidInput:
            # A repetition, or another client with the same bytes, was there before.
            if not has(self._s3, self._bucket, key, begun.size_bytes):
                raise

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self._ask("abort_multipart_upload", Key=key, UploadId=upload_id)
        except InvalidInput:
            return  # it has ended

    def _abort_abandoned(self, began_before: float) -> int:
        found = [
            each
            for each in self._uploads(self._prefix)
            if each["Initiated"].timestamp() < began_before
            and is_artifact(each["Key"].removeprefix(self._prefix))  # a bucket may be others', too
        ]
        for each in found:
            self._abort(each["Key"], each["UploadId"])
        return len(found)

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        for page in self._pages("list_multipart_uploads", Prefix=prefix):
            yield from page.get("Uploads", ())

    def _sent(self, key: str, upload_id: str) -> Iterator[Sent]:
        for page in self._pages("list_parts", Key=key, UploadId=upload_id):
            for each in page.get("Parts", ()):
                checksum = each.get("ChecksumSHA256")
                sha256 = base64.b64decode(checksum).hex() if checksum else None
                yield Sent(each["PartNumber"], each["Size"], each["ETag"], sha256)

    def _pages(self, name: str, **said: Any) -> Iterator[dict[str, Any]]:
        pages = iter(self._s3.get_paginator(name).paginate(Bucket=self._bucket, **said))
        while (page := self._call(name, lambda: next(pages, None))) is not None:
            yield page

    def _ask(self, name: str, **said: Any) -> dict[str, Any]:
        return self._call(name, lambda: getattr(self._s3, name)(Bucket=self._bucket, **said))

    def _call(self, name: str, call: Any) -> Any:
        """Ask the store.

        Raises:
            InvalidInput: the upload has ended.
            Unreachable: it does not answer, or not that.
        """
        try:
            return call()
        except ClientError as error:
            if error.response["Error"]["Code"] == _ENDED:
                allowed = "allowed: that of an upload that was offered and has not ended"
                raise InvalidInput.of("upload_id", "one that has ended", allowed) from error
            raise Unreachable(f"{self._base} refuses {name}: {error}") from error
        except BotoCoreError as error:
            raise Unreachable(f"{self._base} does not answer: {error}") from error


def _named(sent: Sent) -> dict[str, Any]:
    """A part as a completion names it; a store that keeps checksums wants them again."""
    named = {"PartNumber": sent.number, "ETag": sent.etag}
    if sent.sha256:
        named["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sent.sha256)).decode()
    return named

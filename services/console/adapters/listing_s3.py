"""Listings of S3, or of anything that speaks its protocol."""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from services.console.adapters.s3 import make_client
from services.console.domain.drops import Base, Object
from services.console.settings import UploadSettings
from so1s.errors import Unreachable


class S3Listing:
    """See `Listing`."""

    def __init__(self, settings: UploadSettings) -> None:
        self._s3 = make_client(settings, settings.s3_endpoint_url)

    async def objects(self, base: Base) -> list[Object]:
        """See `Listing`."""
        return await asyncio.to_thread(self._objects, base)

    def _objects(self, base: Base) -> list[Object]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=base.bucket, Prefix=base.prefix)
        try:
            return [_object(each) for page in pages for each in page.get("Contents", ())]
        except (BotoCoreError, ClientError) as error:
            raise Unreachable(f"s3://{base.bucket}/{base.prefix} cannot be listed: {error}") from error


def _object(said: dict[str, Any]) -> Object:
    return Object(said["Key"], said["ETag"], said["Size"], said["LastModified"].timestamp())

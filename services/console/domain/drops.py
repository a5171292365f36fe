"""Drops: uploads by pipelines that can do nothing but put files into a bucket.

    BASE/ACCOUNT/MODEL/VERSION.onnx           one object, which S3 shows whole or not at all
    BASE/ACCOUNT/MODEL/VERSION/_SUCCESS       a directory, complete once its marker is put last

What else lies below BASE is none of ours, or is not complete yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from pydantic import ValidationError

from so1s import suffixes
from so1s.errors import InvalidInput
from so1s.events import ModelUploaded
from so1s.events.ids import content_id
from so1s.events.model import Dropped

MARKER = "_SUCCESS"
"""As Hadoop and Spark write it when all else of a directory is there."""
SUFFIXES = (*suffixes.ARCHIVES, *suffixes.FORMATS)
"""Of single objects; the name before it is the version."""

_FILE_PARTS, _DIRECTORY_PARTS = 3, 4
_UPLOADED_BY = "bucket"
_LONGEST_EVENT, _LONGEST_PRINCIPAL = 64, 128


@dataclass(frozen=True, slots=True)
class Base:
    """Where drops lie: `s3://BUCKET/PREFIX/`."""

    bucket: str
    prefix: str
    """Empty, or with a `/` at its end."""

    @classmethod
    def parse(cls, uri: str) -> Base:
        """Read a valid URI."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return cls(bucket, prefix)


@dataclass(frozen=True, slots=True)
class Object:
    """An object as a listing shows it."""

    key: str
    etag: str
    size_bytes: int
    modified_at: float
    """In seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notification tells of an object. It is a hint: what it says may be wrong, or never come."""

    key: str
    event: str
    """Such as `ObjectCreated:Put`."""
    principal: str
    """Who did it; empty where the store does not say."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A complete upload, or what is wrong with it."""

    id: str
    """Of its event: from the bucket, its keys and their ETags, so that a repetition has it again."""
    account: str
    """As the key says it, which may be no valid name."""
    uri: str
    key: str
    """Of the object that made it complete."""
    modified_at: float
    """When the last of it came, in seconds since the epoch."""
    uploaded: ModelUploaded | None
    problem: str
    """Empty where there is nothing wrong."""
    reason: str = ""
    """The field that is wrong, for metrics."""

    def noticed(self, notice: Notice | None) -> ModelUploaded | None:
        """The event of a valid drop, with what was heard of it."""
        said = {"event": notice.event, "principal": notice.principal} if notice else {}
        dropped = Dropped(**said, modified_at=datetime.fromtimestamp(self.modified_at, UTC))
        return self.uploaded and self.uploaded.model_copy(update={"dropped": dropped})


def drops(base: Base, listing: Iterable[Object]) -> list[Drop]:
    """What is complete in a listing, in the order of its URIs; the order of the listing is no matter."""
    files: list[tuple[str, list[Object]]] = []
    directories: dict[str, list[Object]] = {}
    for each in listing:
        parts = each.key.removeprefix(base.prefix).split("/")
        if not each.key.startswith(base.prefix) or not parts[-1]:
            continue  # a key that ends with "/" is how consoles make an empty folder
        if len(parts) == _FILE_PARTS:
            files.append((each.key, [each]))
        elif len(parts) >= _DIRECTORY_PARTS:
            place = base.prefix + "/".join(parts[: _DIRECTORY_PARTS - 1]) + "/"
            directories.setdefault(place, []).append(each)
    whole = [(place, objects) for place, objects in directories.items() if _is_complete(place, objects)]
    return sorted(
        (_drop(base, place, objects) for place, objects in files + whole), key=lambda drop: drop.uri
    )


def notices(base: Base, message: bytes) -> list[Notice]:
    """What a notification of S3 tells of objects below the base.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    Raises:
        InvalidInput: it is no such notification.
    """
    try:
        said = json.loads(message)
        if said.get("Event") == "s3:TestEvent":
            return []
        found = [
            (each, each["s3"]["bucket"]["name"], each["s3"]["object"]["key"]) for each in said["Records"]
        ]
        return [
            Notice(key, _name_of(each), _principal_of(each))
            for each, bucket, said_key in found
            for key in sorted({said_key, unquote_plus(said_key)})  # AWS quotes keys, others do not
            if bucket == base.bucket and key.startswith(base.prefix)
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput.of("notification", repr(error), "allowed: S3's `Records`, as JSON") from error


def _name_of(record: dict[str, Any]) -> str:
    return _shown(record.get("eventName"), _LONGEST_EVENT).removeprefix("s3:")


def _principal_of(record: dict[str, Any]) -> str:
    who = record.get("userIdentity")
    return _shown(who.get("principalId"), _LONGEST_PRINCIPAL) if isinstance(who, dict) else ""


def _shown(said: Any, most: int) -> str:
    """What a store says, as far as it can be shown."""
    return said[:most] if isinstance(said, str) and said.isprintable() else ""


def _is_complete(place: str, objects: list[Object]) -> bool:
    """Whether the marker is there with something beside it, and is older than nothing."""
    markers = [each for each in objects if each.key == place + MARKER]
    newest = max(each.modified_at for each in objects)
    return len(objects) > 1 and any(marker.modified_at >= newest for marker in markers)


def _drop(base: Base, place: str, objects: list[Object]) -> Drop:
    account, model, name = place.removeprefix(base.prefix).removesuffix("/").split("/")
    uri = f"s3://{base.bucket}/{place}"
    content = "\n".join(sorted(f"{each.key} {each.etag}" for each in objects))
    digest = hashlib.sha256(content.encode()).digest()
    last = max(objects, key=lambda each: (each.modified_at, each.key == place + MARKER))
    uploaded, problem, reason = None, "", ""
    try:
        uploaded = _uploaded(account, model, _version(name, place), uri, sum(o.size_bytes for o in objects))
    except InvalidInput as error:
        problem, reason = str(error), error.problems[0].field
    drop_id = content_id("so1s/console", ModelUploaded.type, uri, digest)
    return Drop(drop_id, account, uri, last.key, last.modified_at, uploaded, problem, reason)


def _version(name: str, place: str) -> str:
    if place.endswith("/"):
        return name
    for suffix in SUFFIXES:
        if name.endswith(suffix) and name != suffix:
            return name.removesuffix(suffix)
    raise InvalidInput.of("file", name, f"allowed: VERSION and one of {', '.join(SUFFIXES)}")


def _uploaded(account: str, model: str, version: str, uri: str, size_bytes: int) -> ModelUploaded:
    try:
        return ModelUploaded.model_validate(
            {
                "account": account,
                "model": model,
                "version": version,
                "artifact": {"uri": uri, "size_bytes": size_bytes},
                "uploaded_by": _UPLOADED_BY,
            }
        )
    except ValidationError as error:
        raise InvalidInput.from_pydantic(error) from error

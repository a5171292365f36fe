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
from urllib.parse import unquote_plus

from pydantic import ValidationError

from so1s.errors import InvalidInput
from so1s.events import ModelUploaded
from so1s.events.ids import content_id

MARKER = "_SUCCESS"
"""As Hadoop and Spark write it when all else of a directory is there."""
SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip", ".onnx", ".skops", ".ubj", ".json", ".txt")
"""Of single objects; the name before it is the version."""

_FILE_PARTS, _DIRECTORY_PARTS = 3, 4
_UPLOADED_BY = "bucket"


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
class Drop:
    """A complete upload, or what is wrong with it."""

    id: str
    """Of its event: from the bucket, its keys and their ETags, so that a repetition has it again."""
    account: str
    """As the key says it, which may be no valid name."""
    uri: str
    uploaded: ModelUploaded | None
    problem: str
    """Empty where there is nothing wrong."""


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


def wakes(base: Base, message: bytes) -> bool:
    """Whether a notification of S3 tells of something below the base.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    Raises:
        InvalidInput: it is no such notification.
    """
    try:
        said = json.loads(message)
        if said.get("Event") == "s3:TestEvent":
            return False
        places = [(each["s3"]["bucket"]["name"], each["s3"]["object"]["key"]) for each in said["Records"]]
        return any(
            bucket == base.bucket and key.startswith(base.prefix)
            for bucket, said_key in places
            for key in (said_key, unquote_plus(said_key))  # AWS quotes keys, others do not
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput.of("notification", repr(error), "allowed: S3's `Records`, as JSON") from error


def _is_complete(place: str, objects: list[Object]) -> bool:
    """Whether the marker is there with something beside it, and is older than nothing."""
    markers = [each for each in objects if each.key == place + MARKER]
    newest = max(each.modified_at for each in objects)
    return len(objects) > 1 and any(marker.modified_at >= newest for marker in markers)


def _drop(base: Base, place: str, objects: list[Object]) -> Drop:
    account, model, name = place.removeprefix(base.prefix).rstrip("/").split("/")
    uri = f"s3://{base.bucket}/{place}"
    content = "\n".join(sorted(f"{each.key} {each.etag}" for each in objects))
    digest = hashlib.sha256(content.encode()).digest()
    uploaded, problem = None, ""
    try:
        uploaded = _uploaded(account, model, _version(name, place), uri, sum(o.size_bytes for o in objects))
    except InvalidInput as error:
        problem = str(error)
    drop_id = content_id("so1s/console", ModelUploaded.type, uri, digest)
    return Drop(drop_id, account, uri, uploaded, problem)


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

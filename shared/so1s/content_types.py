"""Content types of what an inference server reads, by the suffixes of files; it has the same table."""

from __future__ import annotations

from pathlib import PurePosixPath

JSON = "application/json"
ANY = "application/octet-stream"
CSV = "text/csv"
TEXT = "text/plain"

_OF_SUFFIX = {
    ".json": JSON,
    ".txt": TEXT,
    ".csv": CSV,
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}

IMAGES = tuple(dict.fromkeys(each for each in _OF_SUFFIX.values() if each.startswith("image/")))


def content_type_of(name: str) -> str:
    """What the name of a file tells."""
    return _OF_SUFFIX.get(PurePosixPath(name).suffix.lower(), ANY)

"""Content types."""

from pathlib import PurePosixPath

JSON = "application/json"

# Those of inputs; the system's own table differs from machine to machine.
_OF_SUFFIX = {
    ".json": JSON,
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}

ANY = "application/octet-stream"


def of_file(name: str) -> str:
    """The content type that a file's name tells."""
    return _OF_SUFFIX.get(PurePosixPath(name).suffix.lower(), ANY)


def of_header(header: str) -> str:
    """The content type of a header, without parameters; empty where there is none."""
    return header.partition(";")[0].strip().lower()

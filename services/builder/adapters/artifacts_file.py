"""Artifacts on this machine's own disk, for a laptop."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.builder.adapters.receiving import Receiver
from services.builder.domain.archive import Kind, Limits, require_plain
from services.builder.domain.failure import BuildError
from services.builder.domain.location import Location
from services.builder.layers import CHUNK_BYTES
from services.builder.ports import Fetched
from services.builder.stop import Stop, in_thread


class FileArtifacts:
    """Reads `file:///PATH` and, with a `/` at its end, directories."""

    async def fetch(self, location: Location, into: Path, limits: Limits) -> Fetched:
        """See `ports.Artifacts`."""
        return await in_thread(_fetch, location, into, limits)


def _fetch(stop: Stop, location: Location, into: Path, limits: Limits) -> Fetched:
    receiver = Receiver(stop, into, limits)
    try:
        path = _resolve(location)
        if not location.is_directory:
            receiver.receive(path.name, _chunks(path))
            return receiver.fetched_object()
        for file in _files(path):
            receiver.receive(file.relative_to(path).as_posix(), _chunks(file))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BuildError("artifact", f"{location.uri} does not exist") from error
    except IsADirectoryError as error:
        raise BuildError("artifact", f"{location.uri} is a directory; end the URI with '/'") from error
    except PermissionError as error:
        raise BuildError("artifact", f"the builder may not read {location.uri}") from error
    fetched = receiver.fetched_directory()
    if not fetched.files:
        raise BuildError("artifact", f"{path.name} is empty")
    return fetched


def _resolve(location: Location) -> Path:
    """The real path; a link must not lead out of the account's prefix."""
    path = _path(location.uri).resolve(strict=True)
    if not path.is_relative_to(_path(location.prefix).resolve()):
        raise BuildError.of("artifact", "artifact.uri", location.uri, f"what lies under {location.prefix}")
    return path


def _path(uri: str) -> Path:
    parts = urlsplit(uri, allow_fragments=False)
    return Path(unquote(parts.path))


def _files(directory: Path) -> Iterator[Path]:
    """All files below a directory; an empty one in it, such as the `assets` of a SavedModel, is passed."""
    for path in sorted(directory.iterdir()):
        status = path.lstat()
        plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        require_plain(Kind.FILE if plain else Kind.OTHER, path.name)
        if stat.S_ISDIR(status.st_mode):
            yield from _files(path)
        else:
            yield path


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk

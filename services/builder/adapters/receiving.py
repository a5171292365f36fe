"""Bytes from anywhere into files, hashed and counted as they pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from services.builder.domain.archive import Budget, Limits, inner_path, same_name
from services.builder.ports import Fetched
from services.builder.stop import Stop


class Receiver:
    """Writes the files of one artifact into an empty directory, within its limits."""

    def __init__(self, stop: Stop, into: Path, limits: Limits) -> None:
        self._stop = stop
        self._into = into
        self._budget = Budget(files=limits.files, bytes_=limits.artifact_bytes)
        self._checksums: dict[str, str] = {}
        self._size_bytes = 0

    def receive(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write one file.

        Raises:
            Hostile: its name leaves the directory or is another file's, or the artifact outgrows its limits.
            Stopped: the fetch was told to end.
        """
        self._budget.take_file()
        path = inner_path(name)
        sha256 = hashlib.sha256()
        with self._new_file(path) as file:
            for chunk in chunks:
                self._stop.check()
                self._budget.take_bytes(len(chunk))
                sha256.update(chunk)
                file.write(chunk)
                self._size_bytes += len(chunk)
        self._checksums[str(path)] = sha256.hexdigest()

    def _new_file(self, path: PurePosixPath) -> IO[bytes]:
        target = self._into / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return target.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            raise same_name(str(path)) from error

    def fetched_object(self) -> Fetched:
        """What came, where it was a single object."""
        (sha256,) = self._checksums.values()
        return Fetched(sha256, self._size_bytes, 1)

    def fetched_directory(self) -> Fetched:
        """What came, where it was a directory."""
        lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(self._checksums.items()))
        return Fetched(hashlib.sha256(lines.encode()).hexdigest(), self._size_bytes, len(self._checksums))

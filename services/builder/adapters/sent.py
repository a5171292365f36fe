"""A file that a model's process sends among its lines: it can write nowhere where the builder looks."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import IO

from so1s_compiler import LINE


class Sent:
    """Writes what is sent to a file."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        """Take an open file, and how large it may become."""
        self._file = file
        self._most_bytes = most_bytes

    async def without(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """The lines that hold no part of the file, which begins anew.

        Raises:
            ValueError: a part is broken, or the file too large.
        """
        self._file.seek(0)
        self._file.truncate()
        async for line in lines:
            if line.startswith(LINE):
                self._take(base64.b64decode(line[len(LINE) :], validate=True))
            else:
                yield line

    def _take(self, part: bytes) -> None:
        if self._file.tell() + len(part) > self._most_bytes:
            raise ValueError(f"the compiled model is above {self._most_bytes} bytes")
        self._file.write(part)

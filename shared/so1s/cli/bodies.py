"""What `so1s predict` sends: JSON, or a file as it is."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from so1s.content_types import JSON, content_type_of
from so1s.errors import InvalidInput, shown


@dataclass(frozen=True)
class Body:
    """A body and its content type."""

    content: bytes
    content_type: str = JSON
    file: str = ""
    """Where it lies on this machine; empty where it came from elsewhere."""

    @property
    def as_curl(self) -> str:
        """As curl is told of it.

        Raises:
            InvalidInput: it is no text and no file here.
        """
        if self.file and self.content_type != JSON:
            return f"--data-binary {shlex.quote('@' + self.file)}"
        try:
            return f"--data-raw {shlex.quote(self.content.decode())}"
        except UnicodeDecodeError:
            allowed = "allowed: --python, or --file PATH of it, as a shell's line holds text alone"
            raise InvalidInput.of("curl", f"a sample of {self.content_type}", allowed) from None

    @property
    def as_python(self) -> str:
        """The arguments of httpx that send it."""
        if self.content_type == JSON:
            return f"json={json.loads(self.content)!r}"
        return f"content=open({self.file!r}, 'rb').read()" if self.file else f"content={self.content!r}"


def of_data(data: str) -> Body:
    """A JSON body: itself, `@FILE`, or `-` for standard input.

    Raises:
        InvalidInput: it is no JSON, or cannot be read.
    """
    if data == "-":
        text = sys.stdin.read().encode()
    else:
        text = _read("data", data[1:], f"@{data[1:]}") if data.startswith("@") else data.encode()
    try:
        json.loads(text)
    except ValueError as error:
        happened = f"{shown(text.decode(errors='replace'))} is no JSON, {error}"
        allowed = 'allowed: JSON, such as {"x": [[5.1, 3.5]]}, or --file for what is none'
        raise InvalidInput.fault("data", happened, allowed) from error
    return Body(text)


def of_file(path: str, content_type: str | None) -> Body:
    """A file as it is.

    Raises:
        InvalidInput: it cannot be read.
    """
    return Body(_read("file", path, path), content_type or content_type_of(path), path)


def _read(field: str, path: str, said: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        happened = f"{shown(said)} cannot be read, {error.strerror}"
        raise InvalidInput.fault(field, happened, "allowed: a file that can be read") from error

"""Requirements to a lock, by uv, and once: what was resolved is kept and given again.

A lock lies under the hash of all that it was resolved from but the index, whose content changes by the hour.
So a build that is tried again, and another model with the same requirements, have the same libraries.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from filelock import AsyncFileLock
from packaging.utils import canonicalize_name

from services.builder.adapters.uv_command import Uv
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock, restricted
from services.builder.ports import Log
from so1s.errors import TemporaryError
from so1s.requirements import FILE_NAME, Requirements

_RECIPE = "1"
"""Part of each key: a new number resolves anew."""
_UNSOLVABLE = 1
"""uv's exit code where there is no answer; what it cannot read, it ends with 2."""
_LONGEST_MESSAGE = 2000
_PIN = re.compile(r"^[A-Za-z0-9._-]+==\S+( ; [^\\]+)? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


class UvLocker:
    """Resolves with `uv pip compile`, which builds nothing: a source distribution would run code here."""

    def __init__(
        self, directory: Path, platform: str, uv: Uv, *, python: Path, target: Sequence[str]
    ) -> None:
        """Make a locker.

        Args:
            directory: of the locks, on this machine.
            platform: that the libraries run on, as images declare it.
            uv: how it is run.
            python: an interpreter, whose wheels are taken where `target` is empty.
            target: uv's options that say whose wheels are taken else.
        """
        self._directory = directory
        self._platform = platform
        self._uv = uv
        self._python = python
        self._target = (*target,)
        self._whose = self._target or ("--python", str(python))

    async def lock(self, asked: Requirements, needs: Sequence[str], base: Lock, log: Log) -> Lock:
        """What gives an image all that its model's author and its server ask for.

        Args:
            asked: by the author.
            needs: of the server, which goes into the same image.
            base: is tried with that server, so its versions are taken where the author asks for no others.
            log: has uv's own words.

        Raises:
            BuildError: there is no such set of libraries.
            TemporaryError: the index does not answer.
        """
        kept = self._directory / f"{self._key(asked, needs, base)}.txt"
        self._directory.mkdir(parents=True, exist_ok=True)
        async with AsyncFileLock(kept.with_suffix(".lock"), poll_interval=0.1):
            if kept.exists():
                log(f"{FILE_NAME}: resolved before, and the same again")
            else:
                await self._resolve(asked, needs, base, kept, log)
        os.utime(kept)  # asked for: what nobody asks for is removed by and by
        return Lock(FILE_NAME, kept.read_text())

    def _key(self, asked: Requirements, needs: Sequence[str], base: Lock) -> str:
        hashes = [f"{name} {sorted(each)}" for name, each in sorted(asked.hashes.items())]
        parts = [_RECIPE, self._platform, *self._whose, *asked.packages, *hashes, *needs, base.sha256]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def _resolve(
        self, asked: Requirements, needs: Sequence[str], base: Lock, kept: Path, log: Log
    ) -> None:
        with self._uv.directory(self._directory, prefix="resolving-") as directory:
            lines, answer = directory / "asked.in", directory / "lock.txt"
            lines.write_text("\n".join([*asked.packages, *needs]) + "\n")
            answer.write_text(base.text)
            said: list[str] = []

            def hear(line: str) -> None:
                said.append(line)
                log(line)

            code = await self._uv.run(self._command(lines, answer), directory=directory, on_line=hear)
            if code != 0:
                raise _error(code, said, needs)
            lock = restricted(Lock(FILE_NAME, _checked(answer.read_text())), asked.hashes)
        new = kept.with_suffix(".new")
        new.write_text(lock.text)
        new.replace(kept)

    def _command(self, lines: Path, answer: Path) -> list[str]:
        return [
            *("pip", "compile", "--quiet", "--generate-hashes", "--no-build"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *("--python", str(self._python.resolve())),
            *self._target,
            *("--output-file", str(answer), str(lines)),
        ]


def _checked(text: str) -> str:
    """The lock, of pinned packages with hashes alone: a package may not lead to a URL by what it requires."""
    for line in text.splitlines():
        if line and not _PIN.match(line) and not _HASH.match(line):
            raise BuildError(
                "dependencies", f"a package leads to {line!r:.200}, which is no version of an index"
            )
    return text


def _error(code: int, said: Sequence[str], needs: Sequence[str]) -> Exception:
    words = [line.strip().removeprefix("cause: ").removeprefix("error: ") for line in said if line.strip()]
    message = " ".join(words)[:_LONGEST_MESSAGE] or "uv said nothing"
    if code != _UNSOLVABLE:
        return TemporaryError(f"{FILE_NAME} cannot be resolved now: {message}")
    return BuildError("dependencies", f"{FILE_NAME} cannot be satisfied: {message} {_hint(message, needs)}")


def _hint(message: str, needs: Sequence[str]) -> str:
    """What its author can do, beside what uv says."""
    if "was not found in the package registry" in message:
        return "(Check its name; only the index that the builder's operator names is asked.)"
    if "no usable wheels" in message or "no wheels" in message:
        return (
            "(Only wheels are taken, as anything else would run its author's code in the builder: "
            "choose a version that has one for this Python and platform.)"
        )
    theirs = [need for need in needs if canonicalize_name(re.split(r"[\s<>=!~;\[]", need)[0]) in message]
    if theirs:
        return f"(The inference server itself needs {', '.join(theirs)}.)"
    return "(Loosen or remove one of the versions that are named.)"

"""Large uploads: parts that go to S3 side by side, by URLs that the console signs for each.

A part is read from the file as it is sent, so that memory does not grow with the file. All checksums are
taken in one pass that ends with the whole file's: what changes after it is refused by S3.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from so1s.errors import InvalidInput, So1sError, Unreachable
from so1s.platform import ClientSettings
from so1s.ways.http import Unauthorized, ask
from so1s.ways.sending import TIMEOUT, place, refused

T = TypeVar("T")

_AT_ONCE = 4
"""Parts on their way: enough for a line of 10 Gbit/s, few enough for one of 10 Mbit/s."""
_BLOCK_BYTES = 1 << 20
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.5
_COMPLETION_SECONDS = 330.0
"""A store may copy the parts together before it answers."""
_NO_SUCH_UPLOAD = 404


@dataclass(frozen=True)
class Part:
    """A part of a file."""

    number: int
    start: int
    size_bytes: int
    sha256: str


class _EndedError(So1sError):
    """The upload is no more, such as after a week."""


class _StoppedError(Exception):
    """Another part failed, or nobody waits any more."""


class PartSender:
    """Sends a file in the parts that the console asked for."""

    def __init__(
        self,
        settings: ClientSettings,
        console: httpx.Client,
        upload: Mapping[str, Any],
        offered: Mapping[str, Any],
    ) -> None:
        """Take what is known of the upload.

        Args:
            settings: of the platform.
            console: a client of it.
            upload: what was said of it to the console.
            offered: what the console answered.
        """
        self._settings = settings
        self._console = console
        self._begun = {**upload, "upload_id": offered["upload_id"]}
        self._part_bytes: int = offered["part_bytes"]
        self._sent = {each["number"]: each["sha256"] for each in offered["sent"]}
        self._stopped = threading.Event()

    def send(self, file: Path) -> None:
        """Send what S3 does not have yet, and complete the upload.

        Raises:
            InvalidInput: the file is changed meanwhile.
            Unreachable: S3 or the console does not answer; what was sent is kept, and not sent again.
            So1sError: one of them refuses; nothing is kept.
        """
        try:
            parts = list(cut(file, self._part_bytes, self._begun["sha256"]))
            with suppress(_EndedError):  # where another client with these bytes was faster, all is well
                self._send_all(file, [part for part in parts if self._sent.get(part.number) != part.sha256])
            self._stopped.clear()
            self._again(self._complete)
        except Unreachable as error:
            message = f"{error}; what was sent of {file.name} is kept, and a repetition sends the rest"
            raise Unreachable(message) from error
        except So1sError:
            with suppress(So1sError):
                self._tell("abort")
            raise

    def _send_all(self, file: Path, parts: list[Part]) -> None:
        with httpx.Client(timeout=TIMEOUT) as store, ThreadPoolExecutor(_AT_ONCE) as pool:
            sending = [pool.submit(self._send_one, store, file, part) for part in parts]
            try:
                wait(sending, return_when=FIRST_EXCEPTION)
                _raise_first(sending)
            finally:  # also at Ctrl-C: what is on its way ends with its next block
                self._stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def _send_one(self, store: httpx.Client, file: Path, part: Part) -> None:
        self._again(lambda: self._try(store, file, part))

    def _try(self, store: httpx.Client, file: Path, part: Part) -> None:
        said = {"number": part.number, "sha256": part.sha256}
        (signed,) = self._tell("parts", parts=[said]).json()["parts"]  # anew for each try, since it ends
        name = f"part {part.number} of {file.name}"
        try:
            answer = store.request(
                signed["method"], signed["url"], content=self._body(file, part), headers=signed["headers"]
            )
        except httpx.TransportError as error:
            raise Unreachable(f"{name} cannot be sent to {place(signed['url'])}: {error}") from error
        if answer.status_code == _NO_SUCH_UPLOAD:
            raise _EndedError(f"{name} comes too late; the same upload may be begun again")
        if answer.is_error:
            raise refused(name, signed["url"], answer)

    def _body(self, file: Path, part: Part) -> Iterator[bytes]:
        with file.open("rb") as opened:
            opened.seek(part.start)
            left = part.size_bytes
            while left and (block := opened.read(min(left, _BLOCK_BYTES))):
                if self._stopped.is_set():
                    raise _StoppedError
                left -= len(block)
                yield block
        if left:
            raise InvalidInput.of("path", str(file), "allowed: a file that nobody changes while it is sent")

    def _complete(self) -> None:
        self._tell("complete", timeout=_COMPLETION_SECONDS)

    def _tell(self, what: str, *, timeout: float | None = None, **said: Any) -> httpx.Response:
        options: dict[str, Any] = {"json": {**self._begun, **said}}
        if timeout:
            options["timeout"] = timeout
        return ask(self._settings, self._console, "POST", f"/v1/artifacts/{what}", **options)

    def _again(self, work: Callable[[], T]) -> T:
        """Do something until it succeeds, a few times; a store that loses a connection is no failure."""
        for tried in range(1, _TRIES + 1):
            try:
                return work()
            except (InvalidInput, Unauthorized, _EndedError):
                raise
            except So1sError:
                if tried == _TRIES or self._stopped.is_set():
                    raise
            self._stopped.wait(_FIRST_PAUSE_SECONDS * 2 ** (tried - 1) * random.uniform(0.5, 1))  # noqa: S311 - no secret
        raise AssertionError("unreachable")


def cut(file: Path, part_bytes: int, sha256: str) -> Iterator[Part]:
    """A file's parts, each with its checksum.

    Raises:
        InvalidInput: the whole has another checksum than was said.
    """
    whole, number, start = hashlib.sha256(), 1, 0
    with file.open("rb") as opened:
        while (part := _next(opened, whole, number, start, part_bytes)).size_bytes:
            yield part
            number, start = number + 1, start + part.size_bytes
    if whole.hexdigest() != sha256:
        raise InvalidInput.of("path", str(file), "allowed: a file that nobody changes while it is sent")


def _next(opened: Any, whole: Any, number: int, start: int, part_bytes: int) -> Part:
    checksum, size = hashlib.sha256(), 0
    while size < part_bytes and (block := opened.read(min(part_bytes - size, _BLOCK_BYTES))):
        checksum.update(block)
        whole.update(block)
        size += len(block)
    return Part(number, start, size, checksum.hexdigest())


def _raise_first(sending: list[Future[None]]) -> None:
    for each in sending:
        if each.done() and not each.cancelled() and (error := each.exception()):
            raise error

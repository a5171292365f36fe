"""Where payloads and spans go: a file of JSON lines, or a server over HTTP."""

import logging
import os
import socket
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any
from urllib.parse import urlsplit

import orjson

from so1s_runtime import spans
from so1s_runtime.logs import log

Event = dict[str, Any]

# An event has values of 64 thousand characters at most, so that what waits has 16 million.
_MOST_WAITING = 256
_BATCH = 50
_SECONDS = 5.0

# A file is cut then; one older part is kept.
_FILE_BYTES = 64 * 1024 * 1024
_CLOUD_EVENTS = "application/cloudevents-batch+json; charset=utf-8"


# Takes some events; whatever it raises, they are lost.
Sink = Callable[[Sequence[Event]], None]


def sink(url: str) -> Sink:
    """The sink of `file:///PATH`, or of `http://…` or `https://…`, which takes CloudEvents."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _File(Path(parts.path))
    return _Server(url, _CLOUD_EVENTS, list)


def collector(url: str, resource: Mapping[str, str]) -> Sink:
    """A collector that takes spans by OTLP at `http://…` or `https://…`; `resource` names the server."""
    return _Server(url, "application/json", partial(spans.request_of, resource=resource))


class _Lines(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        """Open the file for its owner alone: it holds what callers said."""
        opener = partial(os.open, mode=0o600)
        return open(self.baseFilename, "a", encoding="utf-8", opener=opener)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's signature
        """Tell who writes; it would print a traceback and go on."""
        raise  # noqa: PLE0704 - it is called while an error is handled


class _File:
    """A file for this process alone, since one that others rotate, too, loses lines."""

    def __init__(self, path: Path) -> None:
        own = path.with_name(f"{path.stem}-{socket.gethostname()}-{os.getpid()}{path.suffix}")
        self._handler = _Lines(own, maxBytes=_FILE_BYTES, backupCount=1, delay=True)

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            self._handler.emit(logging.makeLogRecord({"msg": orjson.dumps(event).decode()}))
        self._handler.close()  # it is opened again by the next event


class _Server:
    def __init__(self, url: str, content_type: str, body: Callable[[Sequence[Event]], Any]) -> None:
        self._url = url
        self._content_type = content_type
        self._body = body
        # A proxy of the environment is for the world outside; a sink is named by its address.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __call__(self, events: Sequence[Event]) -> None:
        body = orjson.dumps(self._body(events))
        request = urllib.request.Request(self._url, body, {"content-type": self._content_type})  # noqa: S310 - http or https, by its setting
        self._open(request, timeout=_SECONDS).close()


class Outbox:
    """Hands events to a sink in a thread of its own; `count` is told how many were written or dropped.

    `name` is what they are, as a log says it.
    """

    def __init__(self, name: str, write: Sink, count: Callable[[str, int], None]) -> None:
        self._name = name
        self._write = write
        self._count = count
        self._waiting: Queue[Event | None] = Queue(_MOST_WAITING)
        self._was_told = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event, or drop it where too many wait."""
        try:
            self._waiting.put_nowait(event)
        except Full:
            self._count("dropped", 1)

    def close(self) -> None:
        """Write what waits, for a few seconds at most."""
        try:
            self._waiting.put(None, timeout=_SECONDS)
        except Full:
            return
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            events, is_last = self._beside(event)
            self._hand_over(events)
            if is_last:
                return

    def _beside(self, first: Event) -> tuple[list[Event], bool]:
        events = [first]
        while len(events) < _BATCH:
            try:
                event = self._waiting.get_nowait()
            except Empty:
                break
            if event is None:
                return events, True
            events.append(event)
        return events, False

    def _hand_over(self, events: list[Event]) -> None:
        try:
            self._write(events)
        except Exception as error:  # noqa: BLE001 - whatever a sink does, models are served
            self._count("dropped", len(events))
            if not self._was_told:  # the count tells how it goes on
                self._was_told = True
                log(logging.WARNING, f"{self._name} are dropped", reason=f"{type(error).__name__}: {error}")
        else:
            self._count("written", len(events))
            self._was_told = False

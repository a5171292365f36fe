"""Prompt answers: within the read that brought a whole request, where the model is quick.

A small model answers in less time than a task, a scope and the messages of ASGI take. Whatever is not plain
goes the common way, by ASGI, which knows every answer.
"""

import time
from collections.abc import Sequence

from so1s_runtime.app import App, identity_in
from so1s_runtime.asgi import Head, Response
from so1s_runtime.identity import Asked

Fields = Sequence[tuple[bytes, bytes]]


class Prompt:
    """Answers for `urls`, as they are written in a request; belongs to the event loop."""

    def __init__(self, app: App, max_body_bytes: int) -> None:
        self.urls = {path.encode(): inference for path, inference in app.inferences.items()}
        self._app = app
        self._max_body_bytes = max_body_bytes

    def answer(self, url: bytes, fields: Fields, body: bytes, standing: Fields) -> bytes | None:
        """A whole HTTP/1.1 answer; None where the request has to go the common way.

        Args:
            url: one of `urls`.
            fields: the request's headers, their names in lower case.
            body: all of it.
            standing: headers of every answer of the server.
        """
        started = time.perf_counter()
        app, headers = self._app, dict(fields)
        is_plain = len(body) <= self._max_body_bytes and b"content-encoding" not in headers
        if not is_plain or app.draining or not app.worker.pace.is_quick(len(body)):
            return None
        inference = self.urls[url]
        head = Head(identity_in(headers), headers)
        try:
            ask = app.tapped(inference.ask(head), head.identity)
            response = app.worker.answer_now(ask, body)
        except Exception:  # noqa: BLE001 - the common way asks again, and answers what is raised then
            return None
        app.finished(Asked(inference.template, "POST", url.decode(), head.identity, started), 200)
        return _written(response, [*standing, *response.headers, *app.headers(head.identity)])


def _written(response: Response, fields: Fields) -> bytes:
    start = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n"
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    return b"%b%b\r\n%b" % (start % (response.content_type, len(response.body)), lines, response.body)

"""Quick answers: within the read that brought a whole request, where the model is quick.

A small model answers in less time than a task, a scope and the messages of ASGI take. Whatever is not plain
goes the common way, by ASGI, which knows every answer.
"""

import time
from collections.abc import Sequence

from so1s_runtime.app import App, identity_in
from so1s_runtime.asgi import Head, Response
from so1s_runtime.identity import Asked
from so1s_runtime.pace import SMALL_BYTES

Fields = Sequence[tuple[bytes, bytes]]


class QuickAnswers:
    """Answers for `urls`, as they are written in a request; belongs to the event loop."""

    def __init__(self, app: App, max_body_bytes: int) -> None:
        self.urls = {path.encode(): inference for path, inference in app.inferences.items()}
        self.most_bytes = min(max_body_bytes, SMALL_BYTES)
        self._app = app

    def are_possible(self) -> bool:
        """Whether a body of `most_bytes` may be answered quickly at present."""
        app = self._app
        return not app.draining and app.worker.pace.is_quick(self.most_bytes)

    def answer(self, url: bytes, fields: Fields, body: bytes, standing: Fields) -> bytes | None:
        """A whole HTTP/1.1 answer; None where the request has to go the common way.

        Args:
            url: one of `urls`.
            fields: the request's headers, their names in lower case.
            body: all of it, at most `most_bytes`.
            standing: headers of every answer of the server.
        """
        started = time.perf_counter()
        headers = dict(fields)
        if b"content-encoding" in headers:
            return None
        app, inference = self._app, self.urls[url]
        head = Head(identity_in(headers), headers)
        try:
            response = app.worker.answer_now(app.tapped(inference.begin(head), head.identity), body)
        except Exception:  # noqa: BLE001 - the common way asks again, and answers what is raised then
            return None
        app.finished(Asked(inference.template, "POST", url.decode(), head.identity, started), 200)
        return _written(response, [*standing, *response.fields(), *app.headers(head.identity)])


def _written(response: Response, fields: Fields) -> bytes:
    """As uvicorn writes it."""
    lines = b"\r\n".join([b"%b: %b" % field for field in fields])
    return b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (lines, response.body)

"""Quick answers: within the read that brought a whole request, where the model is quick.

A small model answers in less time than a task, a scope and the messages of ASGI take.
"""

import time
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from so1s_runtime.app import App, identity_in
from so1s_runtime.asgi import Head, Response
from so1s_runtime.identity import Asked
from so1s_runtime.pace import SMALL_BYTES

Fields = Sequence[tuple[bytes, bytes]]


class QuickAnswers:
    """Answers for `inferences`, by their URLs as a request writes them; belongs to the event loop."""

    def __init__(self, app: App, max_body_bytes: int) -> None:
        self.inferences = {path.encode(): inference for path, inference in app.inferences.items()}
        self.most_bytes = min(max_body_bytes, SMALL_BYTES)
        self._app = app

    def are_possible(self) -> bool:
        """Whether a body of `most_bytes` may be answered quickly at present."""
        app = self._app
        return not app.draining and app.worker.pace.is_quick(self.most_bytes)

    def answer(self, url: bytes, fields: Fields, body: bytes, standing: Fields) -> bytes | None:
        """A whole HTTP/1.1 answer; None where the request has to go the common way, as its body is encoded.

        Args:
            url: one of `inferences`.
            fields: the request's headers, their names in lower case.
            body: all of it, at most `most_bytes`.
            standing: headers of every answer of the server.
        """
        started = time.perf_counter()
        headers = dict(fields)
        if b"content-encoding" in headers:
            return None
        app, inference, path = self._app, self.inferences[url], url.decode()
        head = Head(identity_in(headers), headers)
        try:
            response = app.worker.answer_now(app.tapped(inference.begin(head), head.identity), body)
        except Exception as error:  # noqa: BLE001 - the model is foreign code: whatever it raises is answered
            response = app.refusal(error, head.identity, path)
        answer = _written(response, [*standing, *response.fields(), *app.headers(head.identity)])
        app.finished(Asked(inference.template, "POST", path, head.identity, started), response.status)
        return answer


def _written(response: Response, fields: Fields) -> bytes:
    """As uvicorn writes it."""
    lines = b"\r\n".join([b"%b: %b" % field for field in fields])
    return b"%b%b\r\n\r\n%b" % (STATUS_LINE[response.status], lines, response.body)

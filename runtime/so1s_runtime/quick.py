"""Quick answers: within the round of the loop that brought a whole request, where the model is quick.

A small model answers in less time than a task, a scope and the messages of ASGI take.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from so1s_runtime.app import App, Inference, identity_in
from so1s_runtime.asgi import Head, Response
from so1s_runtime.identity import Asked
from so1s_runtime.pace import SMALL_BYTES

Fields = Sequence[tuple[bytes, bytes]]


# Who asks after such a pause is likely to ask alone.
_PAUSE_SECONDS = 0.0002

# After so many, or so long, the loop has its turn, with health and what else came.
_MOST_TOGETHER = 32
_TURN_SECONDS = 0.005


class Caller(Protocol):
    """Whose request is answered."""

    def answered(self, answer: bytes) -> None:
        """Take a whole HTTP/1.1 answer."""
        ...

    def failed(self, error: Exception) -> None:
        """Learn that there is none, by a fault of the server."""
        ...


class Waiting(NamedTuple):
    """A whole request, until those that came beside it are read, too."""

    caller: Caller
    inference: Inference
    path: str
    head: Head
    body: bytes
    standing: Fields
    started: float


class QuickAnswers:
    """Answers for `inferences`, by their URLs as a request writes them; belongs to the event loop.

    Of several callers, those whose requests came in one round of the loop are answered at its end: to read
    all, then to compute all, and then to write all is quicker by half than to change between these. Who asks
    alone is answered at once.
    """

    def __init__(self, app: App, max_body_bytes: int) -> None:
        self.inferences = {path.encode(): inference for path, inference in app.inferences.items()}
        self.most_bytes = min(max_body_bytes, SMALL_BYTES)
        self._app = app
        self._waiting: deque[Waiting] = deque()
        self._latest = 0  # who asked last, as `id`
        self._answered_at = 0.0

    def are_possible(self) -> bool:
        """Whether a body of `most_bytes` may be answered quickly at present."""
        app = self._app
        return not app.draining and app.worker.pace.is_quick(self.most_bytes)

    def ask(self, caller: Caller, url: bytes, fields: Fields, body: bytes, standing: Fields) -> bool:
        """Answer a request soon; False where it has to go the common way, as its body is encoded.

        Args:
            caller: who is answered.
            url: one of `inferences`.
            fields: the request's headers, their names in lower case.
            body: all of it, at most `most_bytes`.
            standing: headers of every answer of the server.
        """
        started = time.perf_counter()
        headers = dict(fields)
        if b"content-encoding" in headers:
            return False
        head, waiting = Head(identity_in(headers), headers), self._waiting
        waiting.append(Waiting(caller, self.inferences[url], url.decode(), head, body, standing, started))
        before, self._latest = self._latest, id(caller)
        if len(waiting) == 1:
            if before == self._latest or started - self._answered_at > _PAUSE_SECONDS:
                self.flush()
            else:
                asyncio.get_running_loop().call_soon(self.flush)
        return True

    def flush(self) -> bool:
        """Answer those that wait; where they are many, or take long, the last of them in a later round.

        Tells whether any waited.
        """
        waiting, until = self._waiting, time.perf_counter() + _TURN_SECONDS
        some = bool(waiting)
        answers: list[tuple[Caller, bytes]] = []
        while waiting and len(answers) < _MOST_TOGETHER:
            each = waiting.popleft()
            try:
                answers.append((each.caller, self._answer(each)))
            except Exception as error:  # noqa: BLE001 - the others are answered all the same
                each.caller.failed(error)
            if time.perf_counter() > until:
                break
        # All are written at once: callers that went on meanwhile would take turns with this on the processor.
        for caller, answer in answers:
            caller.answered(answer)
        self._answered_at = time.perf_counter()
        if waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        return some

    def _answer(self, waiting: Waiting) -> bytes:
        app, inference, path, head = self._app, waiting.inference, waiting.path, waiting.head
        try:
            ask = app.tapped(inference.begin(head), head.identity)
            response = app.worker.answer_now(ask, waiting.body)
        except Exception as error:  # noqa: BLE001 - the model is foreign code: whatever it raises is answered
            response = app.refusal(error, head.identity, path)
        answer = _written(response, [*waiting.standing, *response.fields(), *app.headers(head.identity)])
        asked = Asked(inference.template, "POST", path, head.identity, waiting.started)
        app.finished(asked, response.status)
        return answer


def _written(response: Response, fields: Fields) -> bytes:
    """As uvicorn writes it."""
    lines = b"\r\n".join([b"%b: %b" % field for field in fields])
    return b"%b%b\r\n\r\n%b" % (STATUS_LINE[response.status], lines, response.body)

"""Quick answers: within the round of the loop that brought a whole request, where the model is quick.

A small model answers in less time than a task, a scope and the messages of ASGI take.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from so1s_runtime.app import App, Inference, identity_in
from so1s_runtime.asgi import Head, Response
from so1s_runtime.call import Outcome, attempt
from so1s_runtime.identity import Asked
from so1s_runtime.pace import SMALL_BYTES
from so1s_runtime.question import Question

Fields = Sequence[tuple[bytes, bytes]]


# Of requests that came together, so many at most are answered before the first answer is written.
_MOST_TOGETHER = 32

# Who asks after such a pause is likely to ask alone.
_PAUSE_SECONDS = 0.0002


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
    standing: Fields
    started: float
    question: Callable[[], Question[Response]]


class QuickAnswers:
    """Answers for `inferences`, by their URLs as a request writes them; belongs to the event loop.

    Of several callers, those whose requests came in one round of the loop are answered at its end: to read
    all and then to answer all is quicker by half than to change between the two, and they may share a call of
    the model. Who asks alone is answered at once.
    """

    def __init__(self, app: App, max_body_bytes: int) -> None:
        self.inferences = {path.encode(): inference for path, inference in app.inferences.items()}
        self.most_bytes = min(max_body_bytes, SMALL_BYTES)
        self._app = app
        self._waiting: list[Waiting] = []
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
        inference, head, waiting = self.inferences[url], Head(identity_in(headers), headers), self._waiting
        question = partial(self._question, inference, head, body)
        waiting.append(Waiting(caller, inference, url.decode(), head, standing, started, question))
        before, self._latest = self._latest, id(caller)
        if len(waiting) == 1:
            if before == self._latest or started - self._answered_at > _PAUSE_SECONDS:
                self.flush()
            else:
                asyncio.get_running_loop().call_soon(self.flush)
        return True

    def flush(self) -> None:
        """Answer all that wait."""
        waiting, self._waiting = self._waiting, []
        while waiting:
            slots = self._app.worker.slots
            most = max(1, min(_MOST_TOGETHER, slots.size - slots.taken))
            self._answer_together(waiting[:most])
            del waiting[:most]
        self._answered_at = time.perf_counter()

    def _answer_together(self, waiting: Sequence[Waiting]) -> None:
        asks = [each.question for each in waiting]
        together = attempt(lambda: self._app.worker.answer_now(asks))
        outcomes = together.result or [together] * len(waiting)
        for each, outcome in zip(waiting, outcomes, strict=True):
            try:
                answer = self._answer(each, outcome)
            except Exception as error:  # noqa: BLE001 - the others are answered all the same
                each.caller.failed(error)
            else:
                each.caller.answered(answer)

    def _question(self, inference: Inference, head: Head, body: bytes) -> Question[Response]:
        return self._app.tapped(inference.begin(head), head.identity)(body)

    def _answer(self, waiting: Waiting, outcome: Outcome) -> bytes:
        app, identity = self._app, waiting.head.identity
        error = outcome.error
        response = app.refusal(error, identity, waiting.path) if error else outcome.result
        answer = _written(response, [*waiting.standing, *response.fields(), *app.headers(identity)])
        asked = Asked(waiting.inference.template, "POST", waiting.path, identity, waiting.started)
        app.finished(asked, response.status)
        return answer


def _written(response: Response, fields: Fields) -> bytes:
    """As uvicorn writes it."""
    lines = b"\r\n".join([b"%b: %b" % field for field in fields])
    return b"%b%b\r\n\r\n%b" % (STATUS_LINE[response.status], lines, response.body)

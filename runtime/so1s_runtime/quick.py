"""Quick answers: within the round of the loop that brought a whole request, where the model is quick.

A small model answers in less time than a task, a scope and the messages of ASGI take.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from so1s_runtime.app import CALLER_GONE, App, Inference, identity_in
from so1s_runtime.asgi import Head, Response
from so1s_runtime.errors import RequestError
from so1s_runtime.identity import Asked
from so1s_runtime.pace import SMALL_BYTES

Fields = Sequence[tuple[bytes, bytes]]


# After so many, or so long, the loop has its turn, with health and what else came.
_MOST_TOGETHER = 32
_TURN_SECONDS = 0.005

_LINE = b"%b: %b"


class Caller(Protocol):
    """Whose request is answered."""

    def answered(self, answer: bytes) -> None:
        """Take a whole HTTP/1.1 answer."""
        ...

    def declined(self, body: bytes) -> None:
        """Go the common way after all: the model is not quick any more, or the server is about to go."""
        ...

    def failed(self, error: Exception) -> None:
        """Learn that there is none, by a fault of the server."""
        ...


@dataclass(slots=True)
class Waiting:
    """A whole request, until those that came beside it are read, too."""

    caller: Caller
    inference: Inference
    path: str
    head: Head
    body: bytes
    standing: Fields
    started: float
    refused: RequestError | None = None


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
        self._pace = app.worker.pace
        self._slots = app.worker.slots
        self._waiting: OrderedDict[Caller, Waiting] = OrderedDict()  # each caller has one request at most
        self._is_due = False  # A turn comes in the next round.
        self._latest: Caller | None = None  # who asked last, while it is there

    def are_possible(self) -> bool:
        """Whether a body of `most_bytes` may be answered quickly at present."""
        return not self._app.draining and self._pace.is_quick(self.most_bytes)

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
        head = Head(identity_in(headers), headers)
        asked = Waiting(caller, self.inferences[url], url.decode(), head, body, standing, started)
        before, self._latest = self._latest, caller
        if before in (caller, None) and not self._waiting:
            self._answer_together([asked])
            return True
        try:
            self._slots.expect(len(self._waiting), at_once=1)
        except RequestError as error:
            asked.refused = error
            self._answer_together([asked])
            return True
        self._waiting[caller] = asked
        self._slots.queued += 1
        self._come_soon()
        return True

    def settle(self, caller: Caller) -> None:
        """Answer what waits of a caller at once, as more comes behind it."""
        if asked := self._waiting.get(caller):
            self._remove(asked)
            self._answer_together([asked])

    def forget(self, caller: Caller) -> None:
        """Leave unanswered what waits of a caller, who is gone."""
        if asked := self._waiting.get(caller):
            self._remove(asked)
            self._finished(asked, CALLER_GONE)
        if self._latest is caller:
            self._latest = None

    def _remove(self, asked: Waiting) -> None:
        del self._waiting[asked.caller]
        self._slots.queued -= 1

    def _come_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Answer those that wait; where they are many, or take long, the last of them in a later round."""
        self._is_due = False
        began = time.perf_counter()
        try:
            if answered := self._answer_together(self._next(began + _TURN_SECONDS)):
                self._pace.see((time.perf_counter() - began) / answered)
        finally:
            if self._waiting:
                self._come_soon()

    def _next(self, end: float) -> Iterator[Waiting]:
        """Those that are answered in this turn."""
        for caller in list(islice(self._waiting, _MOST_TOGETHER)):
            asked = self._waiting[caller]
            self._remove(asked)
            if self.are_possible():
                yield asked
            else:
                caller.declined(asked.body)
            if time.perf_counter() > end:
                return

    def _answer_together(self, asked: Iterable[Waiting]) -> int:
        """Compute all and then write all: callers that went on meanwhile would take turns on the processor.

        Returns how many were answered.
        """
        answers: list[tuple[Waiting, int, bytes]] = []
        for each in asked:
            try:
                answers.append((each, *self._answer(each)))
            except Exception as error:  # noqa: BLE001 - the others are answered all the same
                each.caller.failed(error)
        for each, status, answer in answers:
            try:
                self._finished(each, status)
                each.caller.answered(answer)
            except Exception as error:  # noqa: BLE001 - the others are answered all the same
                each.caller.failed(error)
        return len(answers)

    def _answer(self, asked: Waiting) -> tuple[int, bytes]:
        """The status and all that is written."""
        app, identity = self._app, asked.head.identity
        try:
            if asked.refused:
                raise asked.refused  # noqa: TRY301 - answered as any other refusal
            ask = app.tapped(asked.inference.begin(asked.head), identity)
            response = app.worker.answer_now(ask, asked.body)
        except Exception as error:  # noqa: BLE001 - the model is foreign code: whatever it raises is answered
            response = app.refusal(error, identity, asked.path)
        fields = [*asked.standing, *response.fields(), *app.headers(identity)]
        return response.status, _written(response, fields)

    def _finished(self, asked: Waiting, status: int) -> None:
        template, identity = asked.inference.template, asked.head.identity
        self._app.finished(Asked(template, "POST", asked.path, identity, asked.started), status)


def _written(response: Response, fields: Fields) -> bytes:
    """As uvicorn writes it."""
    lines = b"\r\n".join(map(_LINE.__mod__, fields))
    return b"%b%b\r\n\r\n%b" % (STATUS_LINE[response.status], lines, response.body)

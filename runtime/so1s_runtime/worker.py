"""Runs the model, bounded in number and in time, so that health answers meanwhile.

A request goes to a thread, unless the model is known to be quick: then it is answered on the event loop, as
two switches between threads take longer than a small model does. The threads take calls from a plain queue;
an executor's futures, which threads could wait for as well, would cost as much again.
"""

import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from so1s_runtime import batching
from so1s_runtime.call import Call, Outcome, answerable, attempt, is_answerable
from so1s_runtime.pace import Pace
from so1s_runtime.question import Question
from so1s_runtime.settings import Settings
from so1s_runtime.slots import Slots
from so1s_runtime.trial import Trial

T = TypeVar("T")

Ask = Callable[[Any], Question[T]]
Queue = SimpleQueue[Call[Question] | None]


class Worker:
    """The threads behind the slots; a request that waits and works longer than the time limit is given up."""

    def __init__(self, settings: Settings) -> None:
        self.pace = Pace()
        self.slots = Slots(settings.max_concurrency, settings.workers, settings.wait_seconds, self.pace)
        self._gathering = Gathering(settings.batch_delay_ms / 1000)
        self._seconds = settings.request_seconds
        self._calls: Queue = SimpleQueue()
        for _ in range(settings.workers):
            thread = Thread(self._calls, self.slots, self.pace, self._gathering)
            threading.Thread(target=thread.serve, name="model", daemon=True).start()
            weakref.finalize(self, self._calls.put, None)

    async def load(self, work: Callable[[], T]) -> T:
        """Run work that has no slot and no time limit."""
        call = Call(work)

        def run() -> None:
            Call.settle_soon([call], [attempt(work)])

        threading.Thread(target=run, name="load", daemon=True).start()
        return await call.answer

    def use(self, trial: Trial, batch_rows: int) -> int:
        """Heed what trying the model told; answers how many rows share a call, which 1 is where none do.

        Up to `batch_rows` do where that pays.
        """
        self.pace.steady = trial.steady
        self.pace.seconds = trial.seconds
        self._gathering.rows = 1 if trial.alone else batch_rows
        return self._gathering.rows

    def answer_now(self, ask: Ask[T], content: Any) -> T:
        """Decode what has come with `ask`, and ask a quick model.

        Raises RequestError: 429 where too much waits, and what `ask` does.
        """
        self.slots.take()
        try:
            return self._answer_here(ask, content)
        finally:
            self.slots.free()

    async def answer(self, body: Callable[[], Awaitable[Any]], ask: Ask[T]) -> T:
        """Read the body, take a slot, decode the body with `ask`, and ask the model.

        Who sends slowly holds no slot meanwhile. Of one that would get none nothing is kept.
        Raises RequestError: 429 where too much waits, 504 after the time limit, and what `ask` does.
        """
        self.slots.check()
        self.slots.queued += 1
        try:
            content = await body()
        finally:
            self.slots.queued -= 1
        self.slots.take()
        try:
            if self.pace.is_quick(len(content)):
                answer = self._answer_here(ask, content)
                self.slots.free()
                return answer
        except BaseException:
            self.slots.free()
            raise
        return await self._answer_in_thread(partial(ask, content))

    def _answer_here(self, ask: Ask[T], content: Any) -> T:
        """On the event loop."""
        in_doubt = self.pace.in_doubt
        clock = time.thread_time if in_doubt else time.perf_counter
        began = clock()
        try:
            return ask(content).answer()
        except BaseException as raised:
            if is_answerable(raised):
                raise
            raise answerable(raised) from raised
        finally:
            seconds = clock() - began
            if in_doubt:
                self.pace.see_work(seconds)
            else:
                self.pace.see_duration(seconds)

    async def _answer_in_thread(self, ask: Callable[[], Question[T]]) -> T:
        """The slot is held until the thread is done, as a running call cannot be stopped."""
        call = Call(ask)
        self._calls.put(call)
        limit = call.fail_after(self._seconds)
        try:
            return await call.answer
        finally:
            limit.cancel()
            if call.claim():  # given up before a thread began it
                self.slots.free()
            del call, limit  # held by the frame of their own error, they and the body would be freed late


@dataclass(slots=True)
class Gathering:
    """How calls that wait are put together: `rows` rows at most, awaited for `delay_seconds` at most."""

    delay_seconds: float
    rows: int = 1

    def more(self, calls: Queue) -> Iterator[Call[Question] | None]:
        """Calls that wait beside the one that was taken; each may have one row or more."""
        deadline = time.monotonic() + self.delay_seconds
        for _ in range(self.rows - 1):
            seconds = max(0.0, deadline - time.monotonic())
            try:
                yield calls.get(block=seconds > 0, timeout=seconds or None)
            except Empty:
                return


class Thread:
    """What each thread does: take a call, and what waits beside it, and answer them."""

    def __init__(self, calls: Queue, slots: Slots, pace: Pace, gathering: Gathering) -> None:
        self._calls = calls
        self._slots = slots
        self._pace = pace
        self._gathering = gathering

    def serve(self) -> None:
        """Take calls until the worker is gone."""
        while call := self._calls.get():
            taken = [call, *self._gathering.more(self._calls)]
            if claimed := [each for each in taken if each and each.claim()]:
                self._answer(claimed)
            if None in taken:
                return

    def _answer(self, calls: Sequence[Call[Question]]) -> None:
        began, worked = time.perf_counter(), time.thread_time()
        outcomes = answer_all([call.work for call in calls], self._gathering.rows)
        self._pace.see((time.perf_counter() - began) / len(calls))
        self._pace.see_work((time.thread_time() - worked) / len(calls))
        Call.settle_soon(calls, outcomes, partial(self._slots.free, len(calls)))
        del calls, outcomes  # the frames of their errors lead back here, and would keep bodies


def answer_all(asks: Sequence[Callable[[], Question]], most_rows: int) -> list[Outcome]:
    """The outcome of each request, in order; those that fit together share a call of the model."""
    if len(asks) == 1:
        return [attempt(lambda: asks[0]().answer())]
    decoded = [attempt(ask) for ask in asks]
    outcomes = dict(enumerate(decoded))
    asked = {index: outcome.result for index, outcome in outcomes.items() if not outcome.error}
    for group in batching.groups(asked, most_rows):
        outcomes |= zip(group, batching.answer([asked[index] for index in group]), strict=True)
    return [outcomes[index] for index in range(len(asks))]

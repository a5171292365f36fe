"""Work on its way to a thread, and the answer on its way back to the event loop."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar

from so1s_runtime.errors import RequestError

T = TypeVar("T")


class Outcome(NamedTuple):
    """What work came to: a result, or an error."""

    result: Any = None
    error: Exception | None = None


class Call(Generic[T]):
    """`work`, which a thread does, for a caller that waits for `answer` on an event loop."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self._loop = asyncio.get_running_loop()
        self._claimed = threading.Lock()
        self.answer: asyncio.Future[Any] = self._loop.create_future()

    def claim(self) -> bool:
        """True for the first who asks: the thread that begins the work, or the caller who gives it up."""
        return self._claimed.acquire(blocking=False)

    def fail_after(self, seconds: float) -> asyncio.TimerHandle:
        """Answer with a RequestError (504) then."""
        return self._loop.call_later(seconds, self._expire, seconds)

    def settle(self, outcome: Outcome) -> None:
        """Answer, on the loop."""
        if self.answer.done():
            return  # its caller no longer waits
        if outcome.error:
            self.answer.set_exception(outcome.error)
        else:
            self.answer.set_result(outcome.result)

    def _expire(self, seconds: float) -> None:
        self.settle(Outcome(error=RequestError(f"no answer within {seconds} s", status=504)))

    @staticmethod
    def settle_soon(
        calls: Sequence["Call"], outcomes: Sequence[Outcome], before: Callable[[], None] | None = None
    ) -> None:
        """Answer calls of one loop from a thread, and do something there before; the loop is woken once."""

        def settle() -> None:
            if before:
                before()
            for call, outcome in zip(calls, outcomes, strict=True):
                call.settle(outcome)

        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            calls[0]._loop.call_soon_threadsafe(settle)  # noqa: SLF001 - its own class


def attempt(work: Callable[[], Any]) -> Outcome:
    """Do work of foreign code: whatever it raises, the thread lives on."""
    try:
        return Outcome(work())
    except BaseException as raised:  # noqa: BLE001 - see above
        # A frame that holds an error whose traceback holds the frame is freed late, and its body with it.
        return Outcome(error=raised if is_answerable(raised) else answerable(raised))


def is_answerable(raised: BaseException) -> TypeGuard[Exception]:
    """Whether what was raised ends neither the server nor its caller's wait, as an exit would."""
    return isinstance(raised, Exception) and not isinstance(raised, StopIteration)


def answerable(raised: BaseException) -> Exception:
    """An error in place of one that is not, which is its cause."""
    error = RuntimeError(f"the model raised {type(raised).__name__}")
    error.__cause__ = raised
    return error

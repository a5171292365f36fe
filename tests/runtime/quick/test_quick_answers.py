"""Answers within the round of the loop: each caller gets its own, whoever asks beside it."""

import asyncio
import gc
import math
import weakref
from collections.abc import Sequence

import pytest

from so1s_runtime.app import App
from so1s_runtime.asgi import Response
from so1s_runtime.pace import SMALL_BYTES
from so1s_runtime.quick import QuickAnswers


class Asking:
    """A caller that keeps what it is answered."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.declined_bodies: list[bytes] = []
        self.errors: list[Exception] = []

    def answered(self, answer: bytes) -> None:
        self.answers.append(answer)

    def declined(self, body: bytes) -> None:
        self.declined_bodies.append(body)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


def answer(app: App, body: bytes = b'{"x":[[3,0]]}', *headers: tuple[bytes, bytes]) -> bytes | None:
    standing, caller = [(b"date", b"today")], Asking()
    if not QuickAnswers(app, max_body_bytes=50).ask(caller, b"/predict", headers, body, standing):
        return None
    (said,) = caller.answers
    return said


def test_a_quick_model_answers_at_once_with_the_standing_headers_and_its_own(app):
    said = answer(app, b'{"x":[[3,0]]}', (b"x-request-id", b"r1"))
    assert said == (
        b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: application/json\r\ncontent-length: 11\r\n"
        b'x-request-id: r1\r\nx-model: iris@3\r\n\r\n{"y":[6.0]}'
    )
    assert b'http_requests_total{route="/predict",status="200"} 1.0' in app.metrics.exposition()
    assert app.worker.slots.taken == 0


ROW = b'{"x":[[3,0]]}'


@pytest.fixture
def quick(app, busy) -> QuickAnswers:
    """Somebody has just asked, and been answered."""
    quick = QuickAnswers(app, max_body_bytes=50)
    somebody = Asking()
    quick.ask(somebody, b"/predict", [], ROW, [])
    assert somebody.answers
    return quick


@pytest.fixture
def ask(quick):
    """Asks for one more caller in this round of the loop."""

    def other(body: bytes = ROW, caller: Asking | None = None) -> Asking:
        caller = caller or Asking()
        assert quick.ask(caller, b"/predict", [], body, [])
        return caller

    return other


def statuses(callers: Sequence[Asking]) -> list[list[bytes]]:
    return [[said.split(b" ")[1] for said in caller.answers] for caller in callers]


async def test_callers_that_ask_in_one_round_of_the_loop_are_answered_at_its_end(ask):
    callers = [ask() for _ in range(3)]
    assert statuses(callers) == [[], [], []]
    await asyncio.sleep(0)
    assert statuses(callers) == [[b"200"]] * 3


async def test_one_that_is_wrong_is_told_so_alone(ask):
    callers = [ask(body) for body in (b'{"x":[[3,0]]}', b"{", b'{"x":[[-1,0]]}', b'{"x":[[4,0]]}')]
    await asyncio.sleep(0)
    assert statuses(callers) == [[b"200"], [b"400"], [b"500"], [b"200"]]


async def test_the_loop_has_its_turn_between_answers_that_take_long(ask, monkeypatch):
    monkeypatch.setattr("so1s_runtime.quick._TURN_SECONDS", 0.0)
    callers = [ask() for _ in range(3)]
    for number in (1, 2, 3):
        await asyncio.sleep(0)
        assert statuses(callers) == [[b"200"]] * number + [[]] * (3 - number)


async def test_more_callers_than_slots_are_answered_one_after_the_other(ask, app):
    app.worker.slots.size = 2
    callers = [ask() for _ in range(7)]
    await asyncio.sleep(0)
    assert statuses(callers) == [[b"200"]] * 7
    assert app.worker.slots.taken == 0


async def test_one_slow_answer_among_quick_ones_sends_the_next_requests_to_threads(ask, app, monkeypatch):
    monkeypatch.setattr("so1s_runtime.pace.QUICK_SECONDS", 0.0)
    for _ in range(2):
        ask()
        await asyncio.sleep(0)
    assert not app.worker.pace.is_quick(1)


async def test_nothing_of_a_request_that_is_refused_is_kept(ask):
    caller, _ = ask(b"{"), ask()
    seen = weakref.ref(caller)
    gc.disable()
    try:
        await asyncio.sleep(0)
        assert caller.answers
        del caller
        assert seen() is None
    finally:
        gc.enable()


async def test_a_fault_of_the_server_leaves_nobody_without_an_answer(ask, app, monkeypatch):
    def fail(*_):
        raise KeyError("ours")

    callers = [ask(), ask()]
    monkeypatch.setattr(app, "finished", fail)
    await asyncio.sleep(0)
    assert [(each.answers, len(each.errors)) for each in callers] == [([], 1)] * 2


async def test_a_caller_that_cannot_be_answered_keeps_nobody_else_waiting(ask, monkeypatch):
    class Broken(Asking):
        def answered(self, answer: bytes) -> None:
            raise OSError(answer)

    callers = [ask(), ask(caller=Broken()), ask()]
    await asyncio.sleep(0)
    callers.append(ask())
    await asyncio.sleep(0)
    assert statuses(callers) == [[b"200"], [], [b"200"], [b"200"]]


async def test_what_waits_goes_to_threads_once_the_model_was_seen_to_be_slow(ask, app):
    callers = [ask(), ask()]
    app.worker.pace.see_work(math.inf)
    await asyncio.sleep(0)
    assert [(each.answers, each.declined_bodies) for each in callers] == [([], [ROW])] * 2


async def test_a_caller_with_more_behind_it_is_answered_before_the_others(ask, quick):
    callers = [ask() for _ in range(3)]
    quick.settle(callers[1])
    assert statuses(callers) == [[], [b"200"], []]
    await asyncio.sleep(0)
    assert statuses(callers) == [[b"200"]] * 3


async def test_the_loop_has_its_turn_however_many_had_more_behind_them(ask, quick, monkeypatch):
    monkeypatch.setattr("so1s_runtime.quick._TURN_SECONDS", 0.0)
    callers = [ask() for _ in range(3)]
    for _ in range(3):
        quick.settle(ask())
    for number in (1, 2, 3):
        await asyncio.sleep(0)
        assert statuses(callers) == [[b"200"]] * number + [[]] * (3 - number)


async def test_who_goes_while_waiting_is_counted_as_gone_and_not_computed(ask, quick, app, monkeypatch):
    gone, stays = ask(), ask()
    asked = []
    monkeypatch.setattr(app.worker, "answer_now", lambda _, body: asked.append(body) or Response(b"so"))
    quick.forget(gone)
    await asyncio.sleep(0)
    assert statuses([gone, stays]) == [[], [b"200"]]
    assert asked == [ROW]
    assert b'http_requests_total{route="/predict",status="499"} 1.0' in app.metrics.exposition()


async def test_those_that_wait_are_in_flight(ask, app):
    ask(), ask()
    assert b"http_requests_in_flight 2.0" in app.metrics.exposition()
    await asyncio.sleep(0)
    assert b"http_requests_in_flight 0.0" in app.metrics.exposition()


async def test_one_that_would_wait_too_long_is_refused_at_once(ask, app):
    app.worker.pace.see(8 * 3.0)  # an average of 3 s, where 5 are allowed
    callers = [ask() for _ in range(3)]
    assert statuses(callers) == [[], [], [b"429"]]
    assert b"retry-after: 6\r\n" in callers[2].answers[0]
    await asyncio.sleep(0)
    assert statuses(callers) == [[b"200"], [b"200"], [b"429"]]


async def test_answers_of_a_turn_tell_how_long_each_takes(ask, app):
    app.worker.pace.see(1.0)
    before = app.worker.pace.seconds
    ask()
    await asyncio.sleep(0)
    assert app.worker.pace.seconds < before


async def test_a_request_is_timed_until_its_answer_is_written(ask, app, monkeypatch):
    seen = []
    finished, compute = app.finished, app.worker.answer_now
    monkeypatch.setattr(app, "finished", lambda *args: seen.append("told") or finished(*args))
    monkeypatch.setattr(app.worker, "answer_now", lambda *args: seen.append("computed") or compute(*args))
    ask(), ask()
    await asyncio.sleep(0)
    assert seen == ["computed", "computed", "told", "told"]


@pytest.mark.parametrize(
    ("body", "slots", "status"),
    [
        (b'{"x":[["a",0]]}', 1, b"400 Bad Request"),
        (b'{"x":[[-1,0]]}', 1, b"500 Internal Server Error"),
        (b'{"x":[[3,0]]}', 0, b"429 Too Many Requests"),
    ],
    ids=["wrong", "fails", "no slot"],
)
def test_an_error_is_told_and_counted_once(app, body, slots, status):
    app.worker.slots.size = slots
    said = answer(app, body)
    assert said is not None
    assert said.startswith(b"HTTP/1.1 " + status)
    assert b'http_requests_total{route="/predict",status="%b"} 1.0' % status[:3] in app.metrics.exposition()
    assert app.worker.slots.taken == 0


def test_an_encoded_body_goes_the_common_way_and_is_not_counted_yet(app):
    assert answer(app, b'{"x":[[3,0]]}', (b"content-encoding", b"gzip")) is None
    assert b"http_requests_total{" not in app.metrics.exposition()


def test_a_model_that_is_slow_or_about_to_go_is_not_asked_quickly(app):
    quick = QuickAnswers(app, max_body_bytes=50)
    assert quick.are_possible()
    app.draining = True
    assert not quick.are_possible()
    app.draining = False
    app.worker.pace.see_work(math.inf)
    assert not quick.are_possible()


def test_a_quick_body_is_small_and_within_the_limit_of_bodies(app):
    assert QuickAnswers(app, max_body_bytes=50).most_bytes == 50
    assert QuickAnswers(app, max_body_bytes=10**6).most_bytes == SMALL_BYTES

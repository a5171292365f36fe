"""How requests reach the model: quick ones on the event loop, slow ones in threads, waiting ones together."""

import asyncio
import threading
import time

import numpy as np
import pytest

from so1s_runtime import trial
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import RequestError
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.pace import Pace
from so1s_runtime.question import Question
from so1s_runtime.settings import Settings
from so1s_runtime.slots import Slots
from so1s_runtime.trial import Trial
from so1s_runtime.worker import Worker
from tests.runtime.running import LONG_SECONDS

X = TensorSpec("x", DTYPES["float64"], (-1, 2))
Y = TensorSpec("y", DTYPES["float64"], (-1,))
MANIFEST = Manifest(name="m", version="1", format="onnx", file="f", signature=Signature((X,), (Y,)))


class Doubler:
    """A model that doubles the first column, and notes the rows and the thread of each call."""

    def __init__(self, seconds=0.0):
        self.calls = []
        self.threads = set()
        self.model = Model(MANIFEST, self)
        self.opened = threading.Event()
        self.opened.set()
        self._seconds = seconds

    def __call__(self, inputs, _outputs):
        assert self.opened.wait(LONG_SECONDS)
        time.sleep(self._seconds)
        x = inputs["x"]
        if (x < 0).any():
            raise ValueError("below zero")
        self.calls.append(len(x))
        self.threads.add(threading.current_thread().name)
        return [x[:, 0] * 2]


def ask(doubler, *firsts):
    """What a request of some rows asks."""
    rows = np.array([[first, 0] for first in firsts], np.float64)
    return lambda _body: Question(doubler.model, {"x": rows}, [Y], lambda arrays: arrays[0].tolist())


async def no_body():
    return b""


def worker_for(tmp_path, **settings):
    return Worker(Settings(model_dir=tmp_path, port=1, **settings))


async def until(condition):
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():  # noqa: ASYNC110 - a thread changes it, and tells no event
            await asyncio.sleep(0.002)


async def test_a_steady_quick_model_is_soon_asked_on_the_event_loop_and_another_never(tmp_path):
    for steady in (True, False):
        worker, doubler = worker_for(tmp_path), Doubler()
        worker.use(Trial(steady=steady, seconds=0, alone="quick"), 1)
        for _ in range(100):
            assert await worker.answer(no_body, ask(doubler, 3)) == [6]
        assert ("MainThread" in doubler.threads) == steady
        assert "model" in doubler.threads
        assert worker.slots.taken == 0


def test_after_a_call_that_took_long_the_work_of_the_next_ones_is_seen():
    pace = Pace(steady=True)
    for _ in range(16):
        pace.see_work(0.0001)
    pace.see_duration(1.0)
    for _ in range(16):
        assert (pace.in_doubt, pace.is_quick(10)) == (True, True)
        pace.see_work(0.0001)  # it was the machine
    assert not pace.in_doubt


def test_a_slow_call_among_quick_ones_is_found_out_by_its_work():
    pace = Pace(steady=True)
    for _ in range(16):
        pace.see_work(0.0001)
    pace.see_duration(1.0)
    pace.see_work(0.0001)
    pace.see_work(1.0)
    assert not pace.is_quick(10)


def test_one_slow_call_sends_the_next_ones_to_threads():
    pace = Pace(steady=True)
    for _ in range(16):
        assert not pace.is_quick(10)
        pace.see_work(0.0001)
    assert pace.is_quick(10)
    assert not pace.is_quick(10**6)
    pace.see_work(0.1)
    assert not pace.is_quick(10)


async def test_requests_that_wait_together_share_a_call_and_each_gets_its_own_rows(tmp_path):
    worker, doubler = worker_for(tmp_path), Doubler()
    worker.use(Trial(steady=False, seconds=0, alone=""), 4)
    doubler.opened.clear()
    calls = [asyncio.create_task(worker.answer(no_body, ask(doubler, *range(n)))) for n in (1, 2, 3, 1, 1)]
    await until(lambda: worker.slots.taken == 5)
    doubler.opened.set()
    assert await asyncio.gather(*calls) == [[0], [0, 2], [0, 2, 4], [0], [0]]
    assert len(doubler.calls) < 5
    assert max(doubler.calls) <= 4
    assert worker.slots.taken == 0


async def test_a_call_waits_for_more_rows_as_long_as_it_may(tmp_path):
    worker, doubler = worker_for(tmp_path, batch_delay_ms=LONG_SECONDS * 1000), Doubler()
    worker.use(Trial(steady=False, seconds=0, alone=""), 2)
    first = asyncio.create_task(worker.answer(no_body, ask(doubler, 1)))
    await until(lambda: worker.slots.taken == 1)
    assert await asyncio.gather(first, worker.answer(no_body, ask(doubler, 2))) == [[2], [4]]
    assert doubler.calls == [2]


async def test_one_bad_request_of_a_shared_call_fails_alone(tmp_path):
    worker, doubler = worker_for(tmp_path), Doubler()
    worker.use(Trial(steady=False, seconds=0, alone=""), 8)
    doubler.opened.clear()
    asks = [ask(doubler, first) for first in (9, 1, -1, 2)]
    calls = [asyncio.create_task(worker.answer(no_body, each)) for each in asks]
    await until(lambda: worker.slots.taken == 4)
    doubler.opened.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert (answers[0], answers[1], answers[3]) == ([18], [2], [4])
    assert isinstance(answers[2], ValueError)


async def test_a_request_that_would_wait_too_long_is_refused_and_told_when_to_come_again(tmp_path):
    worker, doubler = worker_for(tmp_path, wait_seconds=5), Doubler()
    worker.use(Trial(steady=False, seconds=3.0, alone="quick"), 1)
    doubler.opened.clear()
    calls = [asyncio.create_task(worker.answer(no_body, ask(doubler, 1))) for _ in range(2)]
    await until(lambda: worker.slots.taken == 2)
    with pytest.raises(RequestError, match=r"which take about 6.0 s; try again later") as refused:
        await worker.answer(no_body, ask(doubler, 1))
    assert (refused.value.status, refused.value.headers) == (429, ((b"retry-after", b"6"),))
    doubler.opened.set()
    assert await asyncio.gather(*calls) == [[2], [2]]


def test_one_may_always_wait_however_slow_the_model_is():
    slots = Slots(10, 1, 1.0, Pace(seconds=100.0))
    slots.take()
    slots.take()
    with pytest.raises(RequestError):
        slots.take()


def tried(tmp_path, answer, *, per_call=0.0, per_row=0.0, signature=MANIFEST.signature, sample=None):
    """The trial of a model whose calls and rows take that many seconds by a clock of its own."""
    passed = 0.0

    def predict(inputs, _outputs):
        nonlocal passed
        passed += per_call + per_row * len(inputs["x"])
        return [answer(inputs["x"])]

    manifest = Manifest(name="m", version="1", format="onnx", file="f", signature=signature, sample=sample)
    return trial.attempt(Model(manifest, predict), tmp_path, lambda: passed)


def first_column(x):
    return x[:, 0]


def test_batching_pays_where_a_call_costs_more_than_its_rows(tmp_path):
    assert not tried(tmp_path, first_column, per_call=0.005).alone


@pytest.mark.parametrize(
    ("answer", "seconds", "why"),
    [
        (first_column, {"per_row": 0.004}, "8 rows in a call take more than half the time of 8 calls"),
        (lambda x: np.full(len(x), 1 / len(x)), {"per_call": 0.005}, "rows change each other's answers"),
        (lambda x: x[:1, 0], {"per_call": 0.005}, "the answer has not one row for each row asked"),
        (first_column, {}, "a call takes 1 ms or less"),
        (first_column, {"per_call": 0.5}, "a call takes 0.5 s or more, too long to try"),
    ],
)
def test_batching_is_off_where_it_gains_nothing_and_the_trial_tells_why(tmp_path, answer, seconds, why):
    assert tried(tmp_path, answer, **seconds).alone == why


def test_batching_is_off_where_the_model_needs_more_rows_than_one(tmp_path):
    def trend(x):
        if len(x) < 2:
            raise ValueError("a trend needs two rows")
        return x[:, 0]

    (tmp_path / "sample.json").write_text('{"x": [[1, 2], [3, 4]]}')
    assert "is no input that" in tried(tmp_path, trend, per_call=0.005, sample="sample.json").alone


def test_batching_is_off_where_an_input_has_no_rows(tmp_path):
    fixed = Signature((TensorSpec("x", DTYPES["float64"], (3, 2)),), (Y,))
    why = tried(tmp_path, first_column, per_call=0.005, signature=fixed).alone
    assert why == "the first axis of x is not -1"

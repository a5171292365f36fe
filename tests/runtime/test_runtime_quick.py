"""Quick answers, and what goes the common way instead; a caller must not see which way its request went."""

import asyncio
import gc
import json
import math
import re
import socket
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Self
from unittest.mock import AsyncMock

import pytest
import uvicorn
from uvicorn.server import ServerState

from so1s_runtime.app import App
from so1s_runtime.asgi import Response
from so1s_runtime.connection import protocol
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.pace import SMALL_BYTES
from so1s_runtime.quick import QuickAnswers
from so1s_runtime.settings import Settings
from tests.runtime.running import LONG_SECONDS, started

X = TensorSpec("x", DTYPES["float64"], (-1, 2))
Y = TensorSpec("y", DTYPES["float64"], (-1,))
MANIFEST = Manifest(name="iris", version="3", format="onnx", file="m", signature=Signature((X,), (Y,)))
GOOD = b"[[5.1,3.5,1.4,0.2]]"


def double(inputs, _outputs):
    if (inputs["x"] < 0).any():
        raise ValueError("below zero")
    return [inputs["x"][:, 0] * 2]


@pytest.fixture
def app(tmp_path) -> App:
    """Its model is known to be quick."""
    app = App(Settings(model_dir=tmp_path, port=1), MANIFEST)
    app.model = Model(MANIFEST, double)
    app.worker.pace.steady = True
    for _ in range(16):
        app.worker.pace.see_work(0.0001)
    return app


class Asking:
    """A caller that keeps what it is answered."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.errors: list[Exception] = []

    def answered(self, answer: bytes) -> None:
        self.answers.append(answer)

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


@pytest.fixture
def busy(monkeypatch):
    """Callers ask so soon one after the other that nobody asks alone."""
    monkeypatch.setattr("so1s_runtime.quick._PAUSE_SECONDS", math.inf)


@pytest.fixture
def ask(app, busy):
    """Asks for some other caller in this round of the loop."""
    quick = QuickAnswers(app, max_body_bytes=50)

    def other(body: bytes = b'{"x":[[3,0]]}') -> Asking:
        caller = Asking()
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
    app.worker.pace.see_work(1.0)
    assert not quick.are_possible()


def test_a_quick_body_is_small_and_within_the_limit_of_bodies(app):
    assert QuickAnswers(app, max_body_bytes=50).most_bytes == 50
    assert QuickAnswers(app, max_body_bytes=10**6).most_bytes == SMALL_BYTES


def request(body: bytes = GOOD, path: str = "/predict", more: str = "", version: str = "1.1") -> bytes:
    length = f"content-length: {len(body)}\r\n"
    return f"POST {path} HTTP/{version}\r\nhost: x\r\nx-request-id: r\r\n{length}{more}\r\n".encode() + body


class Transport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
async def connection(app):
    """A caller's connection to the app, as its server makes it."""
    config = uvicorn.Config(
        app,
        http=protocol(QuickAnswers(app, 10**6), AsyncMock(), 10),
        ws="none",
        lifespan="off",
        log_config=None,
    )
    config.load()
    made = config.http_protocol_class(config=config, server_state=ServerState(), app_state={})
    made.connection_made(Transport())
    yield made
    made.connection_lost(None)
    await asyncio.gather(*made.tasks)


ROW = b'{"x":[[3,0]]}'


def test_the_first_request_of_a_read_is_answered_within_it_and_the_next_ones_in_turn(connection):
    connection.data_received(request(ROW))
    assert [said.startswith(b"HTTP/1.1 200") for said in connection.transport.written] == [True]
    assert not connection.tasks
    connection.data_received(request(ROW) + request(ROW))
    assert len(connection.transport.written) == 2
    assert len(connection.tasks) == 1


@pytest.mark.parametrize(
    "asked",
    [
        request(ROW, version="1.0"),
        request(ROW, more="connection: close\r\n"),
        request(ROW, more="expect: 100-continue\r\n"),
        request(ROW, path="/predict?x=1"),
        request(ROW, path="/v2/models/other/infer"),
        request(ROW + b" " * 20_000),
        request(ROW)[:-1],
    ],
    ids=["version", "close", "expect", "query", "path", "large", "incomplete"],
)
def test_what_is_not_plain_is_left_to_asgi(connection, asked):
    connection.data_received(asked)
    assert not connection.transport.written
    assert len(connection.tasks) == 1


@pytest.fixture
async def wait(connection, busy):
    """Lets a connection's request wait for the end of the round, as another one asked just before."""
    made = type(connection)(config=connection.config, server_state=connection.server_state, app_state={})
    made.connection_made(Transport())

    def let():
        connection.data_received(request(ROW))
        made.data_received(request(ROW))
        assert not made.transport.written
        return made

    yield let
    made.connection_lost(None)


def written(connection) -> list[bytes]:
    """The statuses of what was answered."""
    return [said.split(b" ")[1] for said in connection.transport.written]


async def test_what_waits_is_answered_at_the_end_of_the_round(wait):
    waiting = wait()
    await asyncio.sleep(0)
    assert written(waiting) == [b"200"]
    assert waiting.timeout_keep_alive_task


async def test_what_waits_is_answered_before_what_comes_behind_it(wait):
    waiting = wait()
    waiting.data_received(request(b"{") + b"no request\r\n\r\n")
    assert written(waiting) == [b"200", b"400", b"400"]


async def test_what_waits_is_answered_before_the_server_ends(wait):
    waiting = wait()
    waiting.shutdown()
    assert written(waiting) == [b"200"]
    assert waiting.transport.is_closed


async def test_a_caller_that_has_gone_leaves_no_timer_behind(wait):
    waiting = wait()
    waiting.transport.close()
    waiting.connection_lost(None)
    await asyncio.sleep(0)
    assert not written(waiting)
    assert not waiting.timeout_keep_alive_task


def test_a_body_in_chunks_is_answered_as_well(connection):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.data_received(
        head + b"5\r\n" + ROW[:5] + b"\r\n8\r\n" + ROW[5:] + b"\r\n0\r\nx-sum: 7\r\n\r\n"
    )
    assert connection.transport.written[0].endswith(b'{"y":[6.0]}')
    assert not connection.tasks


def test_a_connection_is_not_idle_while_a_request_behind_a_quick_one_is_in_work(connection):
    connection.timeout_keep_alive = 0
    connection.data_received(request(ROW) + request(ROW)[:-1])
    assert len(connection.transport.written) == 1
    connection.timeout_keep_alive_handler()
    assert not connection.transport.is_closed


def test_a_connection_that_was_idle_for_long_enough_since_its_last_answer_is_closed(connection):
    connection.data_received(request(ROW))
    connection.timeout_keep_alive_handler()
    assert not connection.transport.is_closed
    assert connection.timeout_keep_alive_task
    connection.timeout_keep_alive = 0
    connection.timeout_keep_alive_handler()
    assert connection.transport.is_closed


def test_an_empty_line_does_not_keep_a_connection(connection):
    connection.data_received(request(ROW))
    connection.data_received(b"\r\n")
    connection.timeout_keep_alive = 0
    connection.timeout_keep_alive_handler()
    assert connection.transport.is_closed


def test_what_comes_before_a_head_does_not_count_against_it(connection):
    connection.data_received(request(b" " * 300_000)[:-200_000])
    connection.data_received(b" " * 200_000 + request(ROW)[:9])
    assert not connection.transport.written


async def test_a_head_that_never_ends_is_refused_behind_the_answer_before_it(connection, app, monkeypatch):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer_late(*_):
        begun.set()
        await go_on.wait()
        return Response(b"late")

    monkeypatch.setattr(app.worker, "answer", answer_late)
    connection.data_received(request(ROW, version="1.1", more="expect: 100-continue\r\n"))
    await begun.wait()
    connection.data_received(b"POST /predict HTTP/1.1\r\n")
    connection.data_received(b"x" * 70_000)
    go_on.set()
    await asyncio.gather(*connection.tasks)
    said = b"".join(connection.transport.written)
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"431"]
    assert connection.transport.is_closed


def test_what_follows_a_body_in_chunks_are_no_headers_of_its_request(connection):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: r1\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.data_received(head + b"d\r\n" + ROW + b"\r\n0\r\nx-request-id: r2\r\n\r\n")
    (said,) = connection.transport.written
    assert b"x-request-id: r1\r\n" in said


def test_a_fault_of_the_server_is_logged_and_no_fault_of_the_caller(connection, app, monkeypatch, caplog):
    monkeypatch.setattr(app, "headers", lambda _: 1 / 0)
    connection.data_received(request(ROW))
    (said,) = connection.transport.written
    assert said.startswith(b"HTTP/1.1 500")
    assert connection.transport.is_closed
    assert "ZeroDivisionError" in caplog.text
    assert b"http_requests_total{" not in app.metrics.exposition()


def test_many_proposals_in_one_read_are_all_declined(connection):
    proposed = request(ROW, more="connection: upgrade\r\nupgrade: h2c\r\n")
    connection.data_received(proposed * 100)
    assert len(connection.transport.written) == 1
    assert len(connection.pipeline) == 98


@pytest.fixture(scope="module")
def port(onnx_model, tmp_path_factory) -> Iterator[int]:
    """Of a server that is known to be quick."""
    with started(onnx_model.directory, tmp_path_factory.mktemp("quick") / "log") as (_, port):
        with Caller(port) as caller:
            for _ in range(20):
                caller.ask(request())
        yield port


class Caller:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LONG_SECONDS)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def ask(self, raw: bytes) -> tuple[bytes, bytes]:
        self.send(raw)
        return self.answer()

    def answer(self) -> tuple[bytes, bytes]:
        """The head, whose date is left out, and the body."""
        head = b"".join(iter(self._file.readline, b"\r\n"))
        (length,) = re.findall(rb"content-length: (\d+)", head)
        return re.sub(rb"date: .*", b"date:", head), self._file.read(int(length))

    def is_closed(self) -> bool:
        return not self._file.read(1)


METRICS = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
INFER = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1, 0]}]})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", GOOD),
        ("/v2/models/iris/infer", INFER.encode()),
        ("/v2/models/iris/versions/3/infer", INFER.encode()),
        ("/predict", b'[[1,2,3,"x"]]'),
        ("/predict", b"{"),
    ],
)
def test_a_request_that_comes_in_pieces_gets_the_answer_of_one_that_comes_whole(port, path, body):
    whole = request(body, path)
    with Caller(port) as caller, Caller(port) as other:
        at_once = caller.ask(whole)
        caller.send(whole[:-1])
        deadline = time.monotonic() + LONG_SECONDS
        while b"http_requests_in_flight 1.0" not in other.ask(METRICS)[1]:
            assert time.monotonic() < deadline
        assert caller.ask(whole[-1:]) == at_once


def test_requests_in_a_pipeline_are_answered_in_their_order_whichever_way_each_goes(port):
    wrong = request(b"[[1]]")
    with Caller(port) as caller:
        good, bad = caller.ask(request()), caller.ask(wrong)
        assert (good[0][:12], bad[0][:12]) == (b"HTTP/1.1 200", b"HTTP/1.1 400")
        for asked in ([request(), wrong, request()], [wrong, request(), request()]):
            caller.send(b"".join(asked))
            said = [caller.answer() for _ in asked]
            assert said == [bad if each is wrong else good for each in asked]


def test_a_caller_that_wants_no_more_is_told_so_and_left(port):
    with Caller(port) as caller:
        head, body = caller.ask(request(more="connection: close\r\n"))
        assert b"connection: close" in head
        assert json.loads(body)["label"] == [0]
        assert caller.is_closed()


def test_each_answer_is_counted_once(port):
    def counted() -> float:
        metrics = caller.ask(METRICS)[1].decode()
        (found,) = re.findall(r'http_requests_total\{route="/predict",status="200"\} (\S+)', metrics)
        return float(found)

    with Caller(port) as caller:
        before = counted()
        for _ in range(5):
            caller.ask(request())
        assert counted() - before == 5

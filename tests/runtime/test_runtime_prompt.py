"""Prompt answers, and what goes the common way instead; a caller must not see which way its request went."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Self

import pytest

from so1s_runtime.app import App
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from so1s_runtime.model import Model
from so1s_runtime.prompt import Prompt
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


def answer(app: App, body: bytes = b'{"x":[[3,0]]}', *headers: tuple[bytes, bytes]) -> bytes | None:
    standing = [(b"date", b"today")]
    return Prompt(app, max_body_bytes=50).answer(b"/predict", headers, body, standing)


def test_a_quick_model_answers_promptly_with_the_standing_headers_and_its_own(app):
    said = answer(app, b'{"x":[[3,0]]}', (b"x-request-id", b"r1"))
    assert said == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\ndate: today\r\n"
        b'x-request-id: r1\r\nx-model: iris@3\r\n\r\n{"y":[6.0]}'
    )
    assert b'http_requests_total{route="/predict",status="200"} 1.0' in app.metrics.exposition()
    assert app.worker.slots.taken == 0


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"x":[["a",0]]}', []),
        (b'{"x":[[-1,0]]}', []),
        (b'{"x":[[3,0]]}' + b" " * 50, []),
        (b'{"x":[[3,0]]}', [(b"content-encoding", b"gzip")]),
    ],
    ids=["wrong", "fails", "too long", "encoded"],
)
def test_what_is_no_good_answer_goes_the_common_way_and_is_not_counted_yet(app, body, headers):
    assert answer(app, body, *headers) is None
    assert b"http_requests_total{" not in app.metrics.exposition()
    assert app.worker.slots.taken == 0


def test_a_model_that_is_slow_or_about_to_go_or_has_no_slot_goes_the_common_way(app):
    assert answer(app)
    app.worker.slots.size = 0
    assert answer(app) is None
    app.worker.slots.size = 1
    app.draining = True
    assert answer(app) is None
    app.draining = False
    app.worker.pace.see_work(1.0)
    assert answer(app) is None


@pytest.fixture(scope="module")
def port(onnx_model, tmp_path_factory) -> Iterator[int]:
    """Of a server that is known to be quick."""
    with started(onnx_model.directory, tmp_path_factory.mktemp("prompt") / "log") as (_, port):
        with Caller(port) as caller:
            for _ in range(20):
                caller.ask(request())
        yield port


def request(body: bytes = GOOD, path: str = "/predict", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-request-id: r\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


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
        """The head, without its date, and the body."""
        head = b"".join(iter(self._file.readline, b"\r\n"))
        (length,) = re.findall(rb"content-length: (\d+)", head)
        return re.sub(rb"date: .*\r\n", b"", head), self._file.read(int(length))

    def is_closed(self) -> bool:
        return not self._file.read(1)


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
        while b"http_requests_in_flight 1.0" not in other.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")[1]:
            pass
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
        metrics = caller.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")[1].decode()
        (found,) = re.findall(r'http_requests_total\{route="/predict",status="200"\} (\S+)', metrics)
        return float(found)

    with Caller(port) as caller:
        before = counted()
        for _ in range(5):
            caller.ask(request())
        assert counted() - before == 5

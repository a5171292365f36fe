"""A caller must not see which way its request went."""

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Self

import pytest

from tests.runtime.quick.requests import GOOD, request
from tests.runtime.running import LONG_SECONDS, started


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

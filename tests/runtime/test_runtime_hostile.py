"""Whatever callers send to a real server: the right status, no crash, and nothing is left behind."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator

import grpc
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so1s_runtime.rpc.messages import ModelInferRequest
from tests.runtime.running import LONG_SECONDS, started

ROW = [5.1, 3.5, 1.4, 0.2]
INFER = "/v2/models/iris/infer"
MOST_BODY = 10_000
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Server:
    def __init__(self, process, port: int) -> None:
        self.process = psutil.Process(process.pid)
        self.port = port

    def ask(self, path: str, body: bytes = b"", headers: dict | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG_SECONDS)
        try:
            connection.request("POST" if body else "GET", path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def send(self, raw: bytes, *, is_end: bool = False) -> bytes:
        """What comes back until the server closes, which it must; a reset is its right."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LONG_SECONDS) as caller:
            said = b""
            try:
                caller.sendall(raw)
                if is_end:
                    caller.shutdown(socket.SHUT_WR)
                while piece := caller.recv(65536):
                    said += piece
            except TimeoutError:
                pytest.fail("the server keeps the connection")
            except OSError:
                pass
            return said

    def is_well(self) -> bool:
        return self.ask("/predict", json.dumps([ROW]).encode())[0] == 200

    def sockets(self) -> int:
        """The connections of its callers, and not those of gRPC's library."""
        found = self.process.net_connections("tcp")
        return sum(each.status in ("ESTABLISHED", "CLOSE_WAIT") for each in found)


@pytest.fixture(scope="module")
def server(onnx_model, tmp_path_factory) -> Iterator[Server]:
    """It must end well after all that was done to it, and have logged no failure of its own."""
    flags = [f"--max-body-bytes={MOST_BODY}", "--body-seconds=0.5", "--drain-seconds=0"]
    log = tmp_path_factory.mktemp("hostile") / "log"
    with started(onnx_model.directory, log, *flags) as (process, port):
        server = Server(process, port)
        yield server
        assert server.is_well()
        _until(lambda: server.sockets() == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG_SECONDS) == 0
    lines = map(json.loads, log.read_text().splitlines())
    assert [line for line in lines if line["level"] == "error"] == []


def _until(condition) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@FUZZ
@given(value=JSON, path=st.sampled_from(["/predict", INFER]))
def test_any_json_is_answered_or_refused_with_a_reason(server, value, path):
    status, said = server.ask(path, json.dumps(value).encode())
    assert status == 200 or (status == 400 and json.loads(said)["error"])


@FUZZ
@given(
    body=st.binary(min_size=1, max_size=300),
    path=st.sampled_from(["/predict", INFER]),
    length=st.none() | st.integers(-5, 400).map(str) | st.text(st.characters(codec="latin-1"), max_size=5),
)
def test_any_bytes_are_answered_or_refused_with_a_reason(server, body, path, length):
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"connection: close", b"content-length: %d" % len(body)]
    if length is not None:
        lines.append(b"inference-header-content-length: " + length.encode("latin-1"))
    said = server.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    assert said.split(b" ")[1] in {b"200", b"400"}


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_for_a_request_end_the_connection_and_nothing_else(server, noise):
    for raw in (noise, b"POST /predict HTTP/1.1\r\n" + noise, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise):
        said = server.send(raw, is_end=True)
        assert b"HTTP/1.1 500" not in said


TENSOR = {"name": "X", "datatype": "FP32", "shape": [1, 4], "data": ROW}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000,
        b'{"X": ' * 1000,
        b"[[NaN, 1, 1, 1]]",
        b"[[1e400, 1, 1, 1]]",
        b"[[1e39, 1, 1, 1]]",
        b"[[" + b"9" * 4000 + b", 1, 1, 1]]",
        b'[["\\ud800", 1, 1, 1]]',
        '[["٣", 1, 1, 1]]'.encode(),
        b"\xef\xbb\xbf[[1, 1, 1, 1]]",
        b"\xff\xfe[\x00",
        json.dumps({"X": [ROW], "x\u0000\u202e": 1}).encode(),
        json.dumps({"inputs": [TENSOR | {"shape": [2**63 - 1, 4]}]}).encode(),
        json.dumps({"inputs": [TENSOR | {"shape": [10**30, 4]}]}).encode(),
        json.dumps({"inputs": [TENSOR | {"shape": [-1, -4]}]}).encode(),
        json.dumps({"inputs": [TENSOR | {"shape": [1] * 1000}]}).encode(),
        json.dumps({"inputs": [TENSOR | {"data": [ROW, ROW]}]}).encode(),
        json.dumps({"inputs": [TENSOR | {"parameters": {"binary_data_size": 2**62}}]}).encode(),
    ],
    ids=range(17),
)
@pytest.mark.parametrize("path", ["/predict", INFER])
def test_what_is_no_input_is_refused_with_the_reason(server, path, body):
    status, said = server.ask(path, body)
    assert (status, bool(json.loads(said)["error"])) == (400, True)


HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
LAST = HEAD + b"connection: close\r\n"
GOOD = json.dumps([ROW]).encode()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (HEAD + b"content-length: 99999999999999999999999\r\n\r\n", b"400"),
        (HEAD + b"content-length: -1\r\n\r\n", b"400"),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n[[1]]", b"400"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (LAST + b"transfer-encoding: chunked\r\n\r\n" + b"ff\r\n" + b"[" * 255 + b"\r\n0\r\n\r\n", b"400"),
        (HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", b"400"),
        (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (LAST.replace(b"predict", b"%00%ff") + b"\r\n", b"404"),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (HEAD + b"a: " + b"b" * 400_000, b"431"),
    ],
    ids=[
        "length overflow", "length negative", "two lengths", "chunk broken", "chunk no json",
        "chunk and length", "path latin", "path escapes", "connect", "version", "head too large",
    ],
)  # fmt: skip
def test_a_broken_request_gets_the_right_status(server, raw, status):
    said = server.send(raw)
    assert (said.split(b" ")[1] if said else b"") == status


def test_requests_in_a_pipeline_are_answered_in_their_order(server):
    one = HEAD + b"content-length: %d\r\n\r\n" % len(GOOD)
    raw = (
        one
        + GOOD
        + b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
        + LAST
        + b"content-length: %d\r\n\r\n" % len(GOOD)
        + GOOD
    )
    said = server.send(raw)
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


@pytest.mark.parametrize("closes", [b"", b", close"])
def test_a_proposal_of_http2_is_declined_by_answering_without_it(server, closes):
    """Java's client makes it with every request."""
    proposal = (
        b"connection: Upgrade, HTTP2-Settings%b\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n" % closes
    )
    one = HEAD + proposal + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD
    last = LAST + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD
    said = server.send(one + (b"" if closes else one + last))
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200"] * (1 if closes else 3)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (HEAD, b"408"),
        (HEAD + b"content-length: 20\r\n\r\n[[", b"408"),
        (HEAD + b"content-length: %d\r\n\r\n" % (MOST_BODY + 1), b"413"),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n", b"415"),
    ],
    ids=["head", "body", "too long", "encoded"],
)
def test_a_caller_that_stops_in_the_middle_is_left_in_time(server, raw, status):
    said = server.send(raw)
    assert said.split(b" ")[1] == status


def test_callers_that_go_away_at_any_point_leave_nothing_behind(server):
    whole = HEAD + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD
    assert server.is_well()
    files, threads = server.process.num_fds(), server.process.num_threads()
    for end in range(0, len(whole) + 1, 3):
        with socket.create_connection(("127.0.0.1", server.port)) as caller:
            caller.sendall(whole[:end])
            reset = (1).to_bytes(4, "little") + bytes(4)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)  # closing sends a reset
    _until(lambda: server.process.num_fds() <= files)
    assert server.process.num_threads() == threads
    assert server.is_well()


def test_connections_that_are_reset_after_their_answer_are_forgotten(server):
    """Each holds its request of 60 kB as long as a timer of its connection lives."""
    asked = b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"

    def reset_many() -> int:
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", server.port), timeout=LONG_SECONDS) as caller:
                caller.sendall(asked)
                caller.recv(10)  # what is not read makes closing a reset
        return server.process.memory_info().rss

    before = reset_many()
    assert reset_many() - before < 9_000_000


def test_many_half_requests_do_not_keep_others_waiting(server):
    callers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    try:
        for caller in callers:
            caller.sendall(HEAD + b"content-length: 20\r\n\r\n[[")
        assert server.ask("/v2/health/live")[0] == 200
        _until(server.is_well)
    finally:
        for caller in callers:
            caller.close()


@FUZZ
@given(noise=st.binary(max_size=100), is_good=st.booleans())
def test_any_message_over_grpc_is_refused_with_a_reason(server, noise, is_good):
    request = ModelInferRequest(
        model_name="iris", inputs=[{"name": "X", "datatype": "FP32", "shape": [1, 4]}]
    )
    body = (request.SerializeToString() if is_good else b"") + noise
    with (
        pytest.raises(grpc.RpcError) as refused,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(body, timeout=LONG_SECONDS)
    assert refused.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    assert refused.value.details()

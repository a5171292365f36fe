"""What of a connection is answered quickly, and what is left to ASGI."""

import asyncio
import math
import re
from unittest.mock import AsyncMock

import pytest
import uvicorn
from uvicorn.server import ServerState

from so1s_runtime.asgi import Response
from so1s_runtime.connection import protocol
from so1s_runtime.quick import QuickAnswers
from tests.runtime.quick.requests import request


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


async def test_who_sends_no_more_gets_the_answer_that_waits(wait):
    waiting = wait()
    waiting.eof_received()
    assert written(waiting) == [b"200"]


async def test_what_waits_while_the_server_begins_to_drain_is_told_to_go_and_left(wait, app):
    waiting = wait()
    app.draining = True
    await asyncio.sleep(0)
    await asyncio.gather(*waiting.tasks)
    assert b"connection: close\r\n" in b"".join(waiting.transport.written)
    assert waiting.transport.is_closed


async def test_what_waits_while_the_model_is_seen_to_be_slow_is_answered_by_asgi(wait, app):
    waiting = wait()
    app.worker.pace.see_work(math.inf)
    await asyncio.sleep(0)
    (task,) = waiting.tasks
    await task
    assert b"".join(waiting.transport.written).endswith(b'{"y":[6.0]}')
    waiting.data_received(request(ROW))
    await asyncio.gather(*waiting.tasks)
    assert b"".join(waiting.transport.written).count(b"HTTP/1.1 200") == 2


async def test_a_caller_that_has_gone_leaves_nothing_behind(wait, app):
    waiting = wait()
    waiting.transport.close()
    waiting.connection_lost(None)
    assert app.worker.slots.queued == 0
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

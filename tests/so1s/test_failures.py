"""Which errors pass by themselves."""

import asyncio
import socket

import httpx
import pytest
import sqlalchemy as sa
import sqlalchemy.exc
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from so1s.broker.failures import as_exception, backoff_seconds, is_temporary
from so1s.errors import InvalidInput, PermanentError, TemporaryError
from so1s.store.engine import create_engine


def answer(status):
    return httpx.HTTPStatusError(
        "", request=httpx.Request("GET", "http://x"), response=httpx.Response(status)
    )


@pytest.mark.parametrize(
    "error",
    [
        TemporaryError("away"),
        ConnectionRefusedError(),
        TimeoutError(),
        socket.gaierror("no such host yet"),
        OSError(113, "No route to host"),
        OSError("Multiple exceptions: [Errno 111] Connect call failed"),
        OSError(28, "No space left on device"),
        KafkaConnectionError(),
        sqlalchemy.exc.TimeoutError("QueuePool limit reached"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        answer(500),
        answer(503),
        answer(429),
    ],
)
def test_what_is_away_or_busy_is_temporary(error):
    assert is_temporary(error)


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("never"),
        InvalidInput.of("version", "?", "allowed: letters"),
        ValueError(),
        FileNotFoundError(2, "no such file"),
        PermissionError(13, "denied"),
        asyncio.CancelledError(),
        answer(400),
        answer(404),
    ],
)
def test_what_will_fail_again_is_not(error):
    assert not is_temporary(error)


async def failure(engine, statement):
    async def execute():
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement))

    with pytest.raises(Exception) as raised:  # noqa: PT011 - any error is the point
        await execute()
    await engine.dispose()
    return raised.value


async def test_a_mistake_in_a_statement_is_not_temporary_on_sqlite(tmp_path):
    assert not is_temporary(await failure(create_engine(f"sqlite+aiosqlite:///{tmp_path}/x.db"), "SELECT x"))


async def test_a_locked_sqlite_is_temporary(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path}/x.db"
    holder = create_engine(url)
    async with holder.begin() as writing:
        await writing.execute(sa.text("CREATE TABLE held (x int)"))
        error = await failure(create_async_engine(url, connect_args={"timeout": 0}), "CREATE TABLE t (x int)")
    await holder.dispose()
    assert is_temporary(error)


@pytest.mark.parametrize(
    ("statement", "temporary"),
    [
        ("SELECT x", False),
        ("SELECT 1 / 0", False),
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '57P01'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '55P03'; END $$", True),
    ],
)
async def test_postgresql_says_by_its_code_whether_an_error_is_temporary(postgres, statement, temporary):
    assert is_temporary(await failure(create_engine(postgres), statement)) is temporary


async def test_postgresql_that_cannot_be_reached_is_temporary(unused_tcp_port_factory):
    port = unused_tcp_port_factory()
    engine = create_engine(f"postgresql+asyncpg://u@localhost:{port}/x")
    assert is_temporary(await failure(engine, "SELECT 1"))


@given(st.integers(1, 10_000))
def test_the_backoff_doubles_up_to_half_a_minute_and_is_never_nothing(failures):
    longest = min(30.0, 0.1 * 2 ** min(failures - 1, 20))
    assert longest / 2 <= backoff_seconds(failures) <= longest


def test_an_error_that_would_end_a_task_becomes_one_that_does_not():
    error = ValueError()
    assert as_exception(error) is error
    leaked = as_exception(asyncio.CancelledError())
    assert isinstance(leaked, Exception)
    assert "CancelledError" in str(leaked)

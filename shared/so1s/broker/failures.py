"""Which failures pass by themselves, and how long to wait for that."""

from __future__ import annotations

import asyncio
import random
import socket
import sqlite3

import httpx
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime

from so1s.errors import TemporaryError

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 30.0
_DOUBLINGS = 12  # 0.1 s doubled so often is over the longest
_JITTER = random.Random()  # noqa: S311 - it spreads load, and guards nothing

_PASSING = (
    TemporaryError,
    ConnectionError,
    TimeoutError,
    NoConnectionInTime,  # every connection of the pool was in use; it is no builtin TimeoutError
    socket.gaierror,
    KafkaError,
    httpx.TransportError,
)
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_PASSING_SQLSTATES = ("08", "40", "53", "55", "57", "58")
"""Classes of PostgreSQL's codes: connection, deadlock, resources, lock, shutdown, disk.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""


def is_temporary(error: BaseException) -> bool:
    """Whether the same work can succeed later, without anybody changing it."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
    if isinstance(error, DBAPIError):
        return _is_temporary_in_database(error)
    # A plain OSError is the machine's: no route, no memory, no disk. Its subclasses for files are not.
    return isinstance(error, _PASSING) or type(error) is OSError or _has_passing_sqlstate(error)


def backoff_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row: doubled each time, up to 30 s, with jitter.

    The jitter keeps replicas that failed together from trying again together.
    """
    longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(failures - 1, _DOUBLINGS))
    return longest * _JITTER.uniform(0.5, 1.0)


def is_stopping(error: BaseException) -> bool:
    """Whether it is this task that is being cancelled, and not its work that leaked a cancellation."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def as_exception(error: BaseException) -> Exception:
    """The error, as one that ends no task: a leaked cancellation or exit would."""
    if isinstance(error, Exception):
        return error
    leaked = RuntimeError(f"the handler leaked {type(error).__name__}")
    leaked.__cause__ = error
    return leaked


def _is_temporary_in_database(error: DBAPIError) -> bool:
    if error.connection_invalidated or _has_passing_sqlstate(error.orig):
        return True
    if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False  # SQLite calls a mistake in a statement operational, too
    return isinstance(error, (OperationalError, InterfaceError))


def _has_passing_sqlstate(error: object) -> bool:
    return str(getattr(error, "sqlstate", "")).startswith(_PASSING_SQLSTATES)

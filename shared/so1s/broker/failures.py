"""Which failures pass by themselves, and how long to wait for that."""

from __future__ import annotations

import random
import socket

import httpx
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from so1s.errors import TemporaryError

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 30.0
_DOUBLINGS = 12  # 0.1 s doubled so often is over the longest

_PASSING = (
    TemporaryError,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    KafkaError,
    httpx.TransportError,
    OperationalError,
    InterfaceError,
)
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def is_temporary(error: BaseException) -> bool:
    """Whether the same work can succeed later, without anybody changing it."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, _PASSING)


def backoff_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row: doubled each time, up to 30 s, with jitter.

    The jitter keeps replicas that failed together from trying again together.
    """
    longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(failures - 1, _DOUBLINGS))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it

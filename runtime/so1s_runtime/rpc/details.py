"""Errors in gRPC's words; pure.

Codes: https://grpc.io/docs/guides/status-codes. What is said beside them: google.rpc.Status, in the trailer
`grpc-status-details-bin`, as the richer error model has it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from grpc import StatusCode

from so1s_runtime.errors import RequestError
from so1s_runtime.rpc.messages import BadRequest, RetryInfo, Status

Metadata = tuple[tuple[str, str | bytes], ...]

# The code that says what an HTTP status says.
_CODES = {
    400: StatusCode.INVALID_ARGUMENT,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    500: StatusCode.INTERNAL,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}


class Failure(NamedTuple):
    """An error as gRPC sends it."""

    code: StatusCode
    message: str
    trailers: Metadata


def failure(error: RequestError) -> Failure:
    """The error of a request: its field, and when to come again, are said for machines, too."""
    code = _CODES.get(error.status, StatusCode.UNKNOWN)
    status = Status(code=code.value[0], message=str(error))
    trailers: Metadata = ()
    if field := error.body.get("field"):
        violation = {"field": field, "description": error.body.get("expected", "")}
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    if seconds := _retry_seconds(dict(error.headers)):
        status.details.add().Pack(RetryInfo(retry_delay={"seconds": seconds}))
        # Clients that retry by a policy of theirs wait so long.
        trailers = (("grpc-retry-pushback-ms", str(seconds * 1000)),)
    if status.details:
        trailers = (*trailers, ("grpc-status-details-bin", status.SerializeToString()))
    return Failure(code, str(error), trailers)


def _retry_seconds(headers: Mapping[bytes, bytes]) -> int:
    return int(headers.get(b"retry-after", b"0"))

"""What a request is called in answers and logs: its id, its correlation id, and its trace."""

import os
import re
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

# A caller's id is repeated in headers and logs, so it is short and printable.
_ID = re.compile(r"[\x21-\x7e]{1,128}")

# Format: https://www.w3.org/TR/trace-context/#traceparent-header. Later versions may say more behind these.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NOBODY = re.compile("0+")
_SAMPLED = 1

# Ids are unique, not secret: a random number for the process, then a count.
_PROCESS = os.urandom(8).hex()
_COUNT = count()


class Trace(NamedTuple):
    """A caller's trace, and this request's span in it."""

    trace_id: str
    parent_id: str
    span_id: str
    is_sampled: bool

    @property
    def response(self) -> str:
        """The header `traceresponse` of W3C's draft: the span that answered."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"


@dataclass(slots=True)
class Identity:
    """The names of one request; a caller gives what it wants to find again."""

    request_id: str
    correlation_id: str | None = None
    trace: Trace | None = None

    def log_fields(self) -> dict[str, str]:
        """The fields of its log lines."""
        fields = {"request_id": self.request_id}
        if self.correlation_id:
            fields["correlation_id"] = self.correlation_id
        if self.trace:
            fields |= {
                "trace_id": self.trace.trace_id,
                "span_id": self.trace.span_id,
                "parent_span_id": self.trace.parent_id,
            }
        return fields

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What its answer says of it."""
        said = [(b"x-request-id", self.request_id.encode())]
        if self.correlation_id:
            said.append((b"x-correlation-id", self.correlation_id.encode()))
        if self.trace:
            said.append((b"traceresponse", self.trace.response.encode()))
        return said


# The route of any path that is not served.
UNKNOWN_ROUTE = "other"


@dataclass(slots=True)
class Asked:
    """A request as metrics and logs tell of it; `started` is of `time.perf_counter`."""

    route: str
    method: str
    path: str
    identity: Identity
    started: float


def identify(request_id: str | None, correlation_id: str | None, traceparent: str | None) -> Identity:
    """The names of a request by its headers; what breaks its format counts as not given."""
    return Identity(
        _repeatable(request_id) or _new_id(),
        _repeatable(correlation_id),
        _trace(traceparent) if traceparent else None,
    )


def unnamed() -> Identity:
    """The names of a request whose caller gave none."""
    return Identity(_new_id())


def _new_id() -> str:
    return f"{_PROCESS}{next(_COUNT):016x}"


def _repeatable(given: str | None) -> str | None:
    return given if given and _ID.fullmatch(given) else None


def _trace(header: str) -> Trace | None:
    match = _TRACEPARENT.fullmatch(header)
    if not match:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if (version == "00" and more) or _NOBODY.fullmatch(trace_id) or _NOBODY.fullmatch(parent_id):
        return None
    return Trace(trace_id, parent_id, os.urandom(8).hex(), bool(int(flags, 16) & _SAMPLED))

"""W3C trace context: one trace from an upload to its charge.

Format: https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
import secrets

_TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})")
_INVALID_TRACE = "0" * 32


def trace_id(traceparent: str) -> str:
    """The trace's id, 32 hexadecimal digits; empty where the header is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match["trace"] if match and match["trace"] != _INVALID_TRACE else ""


def child(traceparent: str) -> str:
    """The header of a new span in the same trace, or of a new trace where there is none."""
    match = _TRACEPARENT.fullmatch(traceparent)
    trace = trace_id(traceparent) or secrets.token_hex(16)
    flags = match["flags"] if match else "01"
    return f"00-{trace}-{secrets.token_hex(8)}-{flags}"

"""What a caller's trace is told of its requests: off unless a collector is named.

A span of kind server for each request of a trace that its caller samples, by OTLP over HTTP as JSON
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), with the names of the semantic
conventions for HTTP (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server). The SDK that
does the same takes as long to import as the whole server does to start.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from so1s_runtime import __version__
from so1s_runtime.identity import UNKNOWN_ROUTE, Asked

_SERVER = 2
_ERROR = 2

Span = dict[str, Any]


class Spans:
    """Tells of requests; `put` takes a span without waiting."""

    def __init__(self, put: Callable[[Span], None]) -> None:
        self._put = put

    def finished(self, asked: Asked, status: int, seconds: float) -> None:
        """Tell of a request that was answered now, after `seconds`, if its trace is sampled."""
        trace = asked.identity.trace
        if not trace or not trace.is_sampled:
            return
        ended = time.time_ns()
        route = {} if asked.route == UNKNOWN_ROUTE else {"http.route": asked.route}
        named = {"request.id": asked.identity.request_id, "correlation.id": asked.identity.correlation_id}
        self._put(
            {
                "traceId": trace.trace_id,
                "spanId": trace.span_id,
                "parentSpanId": trace.parent_id,
                "name": " ".join([asked.method, *route.values()]),
                "kind": _SERVER,
                "startTimeUnixNano": str(ended - int(seconds * 1e9)),
                "endTimeUnixNano": str(ended),
                "attributes": _attributes(
                    {
                        "http.request.method": asked.method,
                        **route,
                        "http.response.status_code": status,
                        **{name: value for name, value in named.items() if value},
                    }
                ),
                "status": {"code": _ERROR} if status >= HTTPStatus.INTERNAL_SERVER_ERROR else {},
            }
        )


def request_of(spans: Sequence[Span], resource: Mapping[str, str]) -> dict[str, Any]:
    """What a collector is sent: an ExportTraceServiceRequest; `resource` names the server."""
    scope = {"name": "so1s-runtime", "version": __version__}
    told = {"resource": {"attributes": _attributes(resource)}}
    return {"resourceSpans": [{**told, "scopeSpans": [{"scope": scope, "spans": list(spans)}]}]}


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
        for key, value in values.items()
    ]

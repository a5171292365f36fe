"""A trace is told of its requests where a collector is named, as OpenTelemetry's own messages read it."""

import base64
import time
from typing import Any

import pytest
from google.protobuf.json_format import Parse, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from so1s_runtime.identity import UNKNOWN_ROUTE, Asked, identify
from so1s_runtime.spans import Spans, request_of
from tests.runtime.posts import kept_posts
from tests.runtime.running import is_ready, running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = (f"00-{TRACE}-{PARENT}-{flags}" for flags in ("01", "00"))


def spans_of(traceparent: str | None, status: int = 200) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    asked = Asked("/predict", "POST", "/predict", identify("r1", "c1", traceparent), 0.0)
    Spans(kept.append).finished(asked, status, seconds=0.25)
    return kept


@pytest.mark.parametrize("traceparent", [None, NOT_SAMPLED, "no trace"])
def test_what_no_trace_samples_is_not_told(traceparent):
    assert spans_of(traceparent) == []


def test_a_span_tells_its_trace_its_time_and_what_was_answered():
    (told,) = spans_of(SAMPLED)
    assert (told["traceId"], told["parentSpanId"], told["name"]) == (TRACE, PARENT, "POST /predict")
    began, ended = int(told["startTimeUnixNano"]), int(told["endTimeUnixNano"])
    assert ended - began == 250_000_000
    assert abs(time.time_ns() - ended) < 60 * 10**9
    values = {each["key"]: each["value"] for each in told["attributes"]}
    assert values == {
        "http.request.method": {"stringValue": "POST"},
        "http.route": {"stringValue": "/predict"},
        "http.response.status_code": {"intValue": "200"},
        "request.id": {"stringValue": "r1"},
        "correlation.id": {"stringValue": "c1"},
    }


def test_a_path_that_is_not_served_is_no_route():
    kept: list[dict[str, Any]] = []
    asked = Asked(UNKNOWN_ROUTE, "GET", "/secret", identify("r1", None, SAMPLED), 0.0)
    Spans(kept.append).finished(asked, 404, seconds=0.0)
    assert kept[0]["name"] == "GET"
    assert "http.route" not in {each["key"] for each in kept[0]["attributes"]}


@pytest.mark.parametrize(("status", "code"), [(200, 0), (429, 0), (500, Status.STATUS_CODE_ERROR)])
def test_a_failure_of_the_server_is_an_error_of_its_span(status, code):
    told = request_of(spans_of(SAMPLED, status), {})
    (span,) = ParseDict(told, ExportTraceServiceRequest()).resource_spans[0].scope_spans[0].spans
    assert span.status.code == code
    assert span.kind == Span.SPAN_KIND_SERVER


async def test_a_server_tells_its_collector_of_each_way_a_request_goes(onnx_model):
    good, wrong = [[5.1, 3.5, 1.4, 0.2]], [[1]]
    with kept_posts() as posts:
        flags = [f"--trace-collector={posts.url}/v1/traces", "--account=risk", "--drain-seconds=0"]
        async with running(onnx_model.directory, *flags) as server:
            await server.until(is_ready)
            answers = [
                await server.client.post("/predict", json=body, headers={"traceparent": SAMPLED})
                for body in [good] * 20 + [wrong]
            ]
            server.process.terminate()
            assert await server.end() == 0
    assert {post[:2] for post in posts} == {("/v1/traces", "application/json")}
    resources = [
        each for post in posts for each in Parse(post.body, ExportTraceServiceRequest()).resource_spans
    ]
    named = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert named == {"service.name": "iris", "service.version": "3", "so1s.account": "risk"}
    spans = [span for each in resources for span in each.scope_spans[0].spans]
    ids = {base64.b64encode(span.span_id).decode() for span in spans}  # it read the digits of JSON as base64
    assert ids == {answer.headers["traceresponse"].split("-")[2] for answer in answers}
    assert len(spans) == 21

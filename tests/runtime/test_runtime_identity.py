"""What callers name a request by is repeated where it is sound, and found in the logs."""

import re

import pytest

from so1s_runtime.identity import identify
from tests.runtime.running import is_ready, running

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_trace_is_continued_with_a_span_of_its_own():
    trace = identify("r1", "c1", f"00-{TRACE}-{PARENT}-01").trace
    assert (trace.trace_id, trace.parent_id, trace.is_sampled) == (TRACE, PARENT, True)
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", trace.response)
    assert trace.span_id != PARENT


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known():
    assert identify(None, None, f"01-{TRACE}-{PARENT}-00-more").trace.trace_id == TRACE


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        "00-\u00e9",
    ],
    ids=["upper case", "no trace", "no parent", "more", "version ff", "short", "unicode"],
)
def test_a_broken_trace_counts_as_none(header):
    assert identify(None, None, header).trace is None


def test_ids_that_cannot_be_repeated_are_not():
    identity = identify("a b", "x" * 129, None)
    assert re.fullmatch("[0-9a-f]{32}", identity.request_id)
    assert identity.correlation_id is None


async def test_the_log_of_a_request_bears_its_names_and_its_answer_too(onnx_model):
    headers = {"x-request-id": "r1", "x-correlation-id": "c1", "traceparent": f"00-{TRACE}-{PARENT}-00"}
    async with running(onnx_model.directory, "--access-log", "--drain-seconds=0") as server:
        await server.until(is_ready)
        answer = await server.client.post("/predict", json=[[5.1, 3.5, 1.4, 0.2]], headers=headers)
        assert answer.headers["x-correlation-id"] == "c1"
        assert answer.headers["traceresponse"].startswith(f"00-{TRACE}-")
        server.process.terminate()
        await server.end()
        (line,) = [each for each in await server.log() if each.get("path") == "/predict"]
    assert (line["request_id"], line["correlation_id"], line["trace_id"]) == ("r1", "c1", TRACE)
    assert line["parent_span_id"] == PARENT
    assert line["span_id"] in answer.headers["traceresponse"]

"""The real process: start, serve over a socket, drain on SIGTERM."""

import asyncio
import json
import signal
import time
from textwrap import dedent

import grpc.aio
import httpx
import numpy as np
import pytest

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Manifest, Signature, TensorSpec, read
from so1s_runtime.rpc import messages
from tests.runtime.running import LONG_SECONDS, Running, is_ready, running

ROW = [5.1, 3.5, 1.4, 0.2]


def is_draining(answer: httpx.Response) -> bool:
    return answer.json().get("state") == "draining"


async def test_a_started_server_becomes_ready_answers_as_the_library_does_and_stops_cleanly(onnx_model, rows):
    async with running(onnx_model.directory, "--drain-seconds=0") as server:
        await server.until(is_ready)
        answer = (await server.client.post("/predict", json=rows.tolist())).raise_for_status().json()
        np.testing.assert_array_equal(answer["label"], onnx_model.estimator.predict(rows))
        assert "process_cpu_seconds_total" in (await server.client.get("/metrics")).text
        server.process.send_signal(signal.SIGTERM)
        assert await server.end() == 0
        log = await server.log()
    assert [line["event"] for line in log] == ["started", "ready", "draining", "stopped"]
    assert {line["model"] for line in log} == {"iris@3"}


@pytest.fixture
def slow(tmp_path):
    """A model whose call takes a while, however many rows it has."""
    code = """
        import time
        def load_artifacts(): pass
        def run(artifacts, input):
            time.sleep(0.02)
            return input["x"][:, 0]
    """
    (tmp_path / "prepared.py").write_text(dedent(code))
    x, y = TensorSpec("x", DTYPES["float64"], (-1, 2)), TensorSpec("y", DTYPES["float64"], (-1,))
    about = {"format": "python", "file": "prepared.py", "signature": Signature((x,), (y,))}
    (tmp_path / "model.json").write_bytes(Manifest(name="slow", version="1", **about).to_json())
    return tmp_path


@pytest.mark.parametrize(("most", "told"), [(1, "reason"), (64, "batch_delay_ms")])
async def test_the_log_and_the_metrics_tell_whether_calls_are_shared(slow, most, told):
    manifest = json.loads((slow / "model.json").read_text()) | {"batching": {"max_rows": most}}
    (slow / "model.json").write_text(json.dumps(manifest))
    async with running(slow, "--drain-seconds=0") as server:
        await server.until(is_ready)
        metrics = (await server.client.get("/metrics")).text
        server.process.send_signal(signal.SIGTERM)
        await server.end()
        (ready,) = [line for line in await server.log() if line["event"] == "ready"]
    assert f"model_batch_rows {most}.0" in metrics
    assert ready["batch_rows"] == most
    assert ready.keys() & {"reason", "batch_delay_ms"} == {told}


async def test_a_draining_server_serves_on_for_the_drain_time_and_then_stops(onnx_model):
    async with running(onnx_model.directory, "--drain-seconds=3") as server:
        await server.until(is_ready)
        signalled = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await server.until(is_draining)
        answer = await server.client.post("/predict", json=[ROW])
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert await server.end() == 0
        assert time.monotonic() - signalled >= 3


async def test_a_request_in_flight_at_the_end_of_the_drain_is_finished(onnx_model):
    body = json.dumps([ROW]).encode()
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with running(onnx_model.directory, "--drain-seconds=0") as server:
        await server.until(is_ready)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.client.base_url.port)
        writer.write(head + body[:5])
        await server.until(lambda answer: "http_requests_in_flight 1.0" in answer.text, "/metrics")
        server.process.send_signal(signal.SIGTERM)
        await refuses_connections(server)
        writer.write(body[5:])
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"label":[0]' in answer
        assert await server.end() == 0


async def refuses_connections(server: Running) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.client.base_url.port)
            except (
                ConnectionRefusedError,
                ConnectionResetError,
            ):  # reset: it was in the queue of what closed
                return
            writer.close()
            await asyncio.sleep(0.02)


async def test_a_second_signal_ends_the_drain(onnx_model):
    async with running(onnx_model.directory, "--drain-seconds=3600") as server:
        await server.until(is_ready)
        server.process.send_signal(signal.SIGTERM)
        await server.until(is_draining)
        server.process.send_signal(signal.SIGINT)
        assert await server.end() == 0


@pytest.mark.parametrize("broken", ["model.json", "model.skops"])
async def test_a_model_that_cannot_be_served_ends_the_process_with_the_reason_as_its_last_error(
    own_copy, broken
):
    (own_copy / broken).write_bytes(b"broken")
    async with running(own_copy) as server:
        assert await server.end() == 1
        errors = [line for line in await server.log() if line["level"] == "error"]
    assert [line["event"] for line in errors] == ["cannot serve"]
    assert broken in errors[0]["reason"]
    assert "traceback" not in errors[0]


async def test_a_taken_port_ends_the_process_with_the_reason(onnx_model):
    async with running(onnx_model.directory) as first:
        await first.until(is_ready)
        async with running(onnx_model.directory, f"--port={first.client.base_url.port}") as second:
            assert await second.end() == 1
            (line,) = await second.log()
            assert line["event"] == "cannot listen"
            assert "Address already in use" in line["reason"]


async def test_one_port_speaks_http_and_grpc_and_a_call_in_flight_is_finished_at_the_end(onnx_model, rows):
    spec = read(onnx_model.directory).signature.inputs[0]
    tensor = {"name": spec.name, "datatype": spec.dtype.oip, "shape": rows.shape}
    raw = rows.astype(spec.dtype.numpy).tobytes()
    asked = messages.ModelInferRequest(model_name="iris", inputs=[tensor], raw_input_contents=[raw])
    may_go_on = asyncio.Event()

    async def slowly():
        await may_go_on.wait()
        yield asked.SerializeToString()

    async with running(onnx_model.directory, "--drain-seconds=0") as server:
        await server.until(is_ready)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.client.base_url.port}") as channel:
            call = asyncio.ensure_future(
                channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")(slowly())
            )
            await server.until(lambda answer: "http_requests_in_flight 1.0" in answer.text, "/metrics")
            server.process.send_signal(signal.SIGTERM)
            await refuses_connections(server)
            may_go_on.set()
            said = messages.ModelInferResponse.FromString(await call)
        np.testing.assert_array_equal(
            np.frombuffer(said.raw_output_contents[0], np.int64), onnx_model.estimator.predict(rows)
        )
        assert await server.end() == 0

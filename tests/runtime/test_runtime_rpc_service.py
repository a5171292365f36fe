"""gRPC's methods on a real connection: answers as the library's, and the limits and counts of HTTP."""

import asyncio
import threading
from contextlib import asynccontextmanager, suppress

import grpc.aio
import numpy as np
import pytest

from so1s_runtime.app import App
from so1s_runtime.errors import AuthorError, RequestError
from so1s_runtime.manifest import read
from so1s_runtime.model import Model
from so1s_runtime.rpc import messages
from so1s_runtime.rpc.server import RpcServer
from so1s_runtime.settings import Settings

PATH = "/inference.GRPCInferenceService"
INFER_ROUTE = "/v2/models/{name}/infer"


class Client:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def call(self, method: str, body: bytes = b"", **options) -> grpc.aio.UnaryUnaryCall:
        return self._channel.unary_unary(f"{PATH}/{method}")(body, **options)

    def stream(self, method: str, body, **options) -> grpc.aio.StreamUnaryCall:
        return self._channel.stream_unary(f"{PATH}/{method}")(body, **options)

    async def refused(self, method: str, body: bytes = b"", **options) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(method, body, **options)
        return refused.value


@asynccontextmanager
async def client_of(app: App):
    server = RpcServer(app, app._settings)
    port = await server.port()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(channel)
    await server.stop(0)


def question(spec, rows) -> bytes:
    tensor = {"name": spec.name, "datatype": spec.dtype.oip, "shape": rows.shape}
    raw = rows.astype(spec.dtype.numpy).tobytes()
    return messages.ModelInferRequest(
        model_name="iris", inputs=[tensor], raw_input_contents=[raw]
    ).SerializeToString()


@pytest.fixture
def app(skops_model, loaded_app) -> App:
    return loaded_app(skops_model.directory)


@pytest.fixture
def body(skops_model, rows) -> bytes:
    return question(read(skops_model.directory).signature.inputs[0], rows[:1])


async def test_infer_answers_as_the_library_does_row_by_row(served, loaded_app, rows):
    app = loaded_app(served.directory)
    async with client_of(app) as client:
        asked = question(app.manifest.signature.inputs[0], rows)
        said = messages.ModelInferResponse.FromString(await client.call("ModelInfer", asked))
    labels = np.frombuffer(said.raw_output_contents[0], np.int64)
    np.testing.assert_array_equal(labels, served.estimator.predict(rows))


async def test_the_server_and_its_model_tell_of_themselves(app):
    async with client_of(app) as client:
        assert messages.ServerLiveResponse.FromString(await client.call("ServerLive")).live
        assert messages.ServerReadyResponse.FromString(await client.call("ServerReady")).ready
        asked = messages.ModelReadyRequest(name="iris", version="3").SerializeToString()
        assert messages.ModelReadyResponse.FromString(await client.call("ModelReady", asked)).ready
        said = messages.ModelMetadataResponse.FromString(await client.call("ModelMetadata", asked))
        assert (said.name, list(said.versions), list(said.inputs[0].shape)) == ("iris", ["3"], [-1, 4])
        said = messages.ServerMetadataResponse.FromString(await client.call("ServerMetadata"))
        assert said.name == "so1s-runtime"
        (model,) = messages.RepositoryIndexResponse.FromString(await client.call("RepositoryIndex")).models
        assert (model.name, model.version, model.state) == ("iris", "3", "READY")
        app.draining = True
        only_ready = messages.RepositoryIndexRequest(ready=True).SerializeToString()
        said = messages.RepositoryIndexResponse.FromString(await client.call("RepositoryIndex", only_ready))
        assert not said.models


async def test_a_model_or_method_that_is_not_there_is_told_apart(app):
    other = messages.ModelReadyRequest(name="other").SerializeToString()
    async with client_of(app) as client:
        for method in ("ModelReady", "ModelMetadata"):
            refused = await client.refused(method, other)
            assert refused.code() is grpc.StatusCode.NOT_FOUND
            assert refused.details() == "no model 'other' is served; this is iris@3"
        assert (await client.refused("ModelStatistics")).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_server_whose_model_loads_is_live_not_ready_and_says_when_to_come_again(skops_model, body):
    app = App(Settings(model_dir=skops_model.directory, port=1), read(skops_model.directory))
    async with client_of(app) as client:
        assert messages.ServerLiveResponse.FromString(await client.call("ServerLive")).live
        assert not messages.ServerReadyResponse.FromString(await client.call("ServerReady")).ready
        refused = await client.refused("ModelInfer", body)
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert dict(refused.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"


async def test_a_call_is_named_counted_and_measured_as_over_http(app, body):
    async with client_of(app) as client:
        call = client.call("ModelInfer", body, metadata=[("x-request-id", "r7")])
        assert messages.ModelInferResponse.FromString(await call).id == "r7"
        trailers = dict(await call.trailing_metadata())
        assert (trailers["x-request-id"], trailers["x-model"]) == ("r7", "iris@3")
        await client.refused("ModelInfer", b"\xff")
    count = app.metrics.registry.get_sample_value
    for status in ("200", "400"):
        assert count("http_requests_total", {"route": INFER_ROUTE, "status": status}) == 1
    assert count("http_request_duration_seconds_count", {"route": INFER_ROUTE}) == 2


class Held:
    """A model that answers when it may."""

    def __init__(self, app: App) -> None:
        self.may, self.begun, self._predict = threading.Event(), threading.Event(), app.model.predictor
        app.model = Model(app.manifest, self)

    def __call__(self, inputs, names):
        self.begun.set()
        self.may.wait(60)
        return self._predict(inputs, names)


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_a_full_server_refuses_and_says_when_to_come_again(skops_model, loaded_app, body):
    app = loaded_app(skops_model.directory, max_concurrency=1)
    held = Held(app)
    async with client_of(app) as client:
        first = asyncio.ensure_future(client.call("ModelInfer", body))
        await until(held.begun.is_set)
        refused = await client.refused("ModelInfer", body)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-status-details-bin" in dict(refused.trailing_metadata())
        held.may.set()
        assert await first


async def test_a_caller_whose_deadline_has_passed_leaves_no_slot_taken(skops_model, loaded_app, body):
    app = loaded_app(skops_model.directory)
    held = Held(app)
    async with client_of(app) as client:
        first = asyncio.ensure_future(client.call("ModelInfer", body))
        await until(held.begun.is_set)
        refused = await client.refused("ModelInfer", body, timeout=2)  # in which it arrives
        assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: app.worker.slots.taken == 1)
        held.may.set()
        await first
    assert app.worker.slots.taken == 0
    assert (
        app.metrics.registry.get_sample_value("http_requests_total", {"route": INFER_ROUTE, "status": "499"})
        == 1
    )


async def test_a_model_that_takes_too_long_is_given_up(skops_model, loaded_app, body):
    app = loaded_app(skops_model.directory, request_seconds=0.1)
    held = Held(app)
    async with client_of(app) as client:
        refused = await client.refused("ModelInfer", body)
    held.may.set()
    assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refused.details() == "no answer within 0.1 s"


async def test_a_message_that_does_not_come_in_time_ends_the_call(skops_model, loaded_app):
    async def never():
        await asyncio.Event().wait()
        yield b""

    app = loaded_app(skops_model.directory, body_seconds=0.1)
    async with client_of(app) as client:
        with pytest.raises(grpc.aio.AioRpcError, match="the request did not arrive in time") as refused:
            await client.stream("ModelInfer", never())
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert app.worker.slots.taken == 0


async def test_callers_whose_message_does_not_come_hold_no_slot_and_are_bounded(
    skops_model, loaded_app, body
):
    async def never():
        await asyncio.Event().wait()
        yield b""

    app = loaded_app(skops_model.directory, max_concurrency=2)
    async with client_of(app) as client, client_of(app) as other:
        slow = asyncio.ensure_future(client.stream("ModelInfer", never()))
        await until(lambda: app.worker.slots.queued == 1)
        assert app.worker.slots.taken == 0
        assert await other.call("ModelInfer", body)
        more = asyncio.ensure_future(client.stream("ModelInfer", never()))
        await until(lambda: app.worker.slots.queued == 2)
        refused = await other.refused("ModelInfer", body)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for each in (slow, more):
            each.cancel()
        await until(lambda: not app.worker.slots.queued)
        assert await other.call("ModelInfer", body)


async def test_a_call_without_a_message_or_with_too_large_a_one_is_refused(skops_model, loaded_app):
    async def nothing():
        return
        yield b""

    app = loaded_app(skops_model.directory, max_body_bytes=100)
    async with client_of(app) as client:
        with pytest.raises(grpc.aio.AioRpcError, match="the call has no message"):
            await client.stream("ModelInfer", nothing())
        refused = await client.refused("ModelInfer", bytes(101))
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await until(lambda: app.worker.slots.taken == 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("secret"), "the model failed; see the log of request r1"),
        (
            AuthorError(KeyError("secret"), "secret"),
            "the model's code raised KeyError; see the log of request r1",
        ),
    ],
    ids=["library", "own-code"],
)
async def test_a_model_that_fails_says_no_more_than_where_to_look(app, body, error, said):
    def fail(inputs, names):
        raise error

    app.model = Model(app.manifest, fail)
    async with client_of(app) as client:
        refused = await client.refused("ModelInfer", body, metadata=[("x-request-id", "r1")])
    assert refused.code() is grpc.StatusCode.INTERNAL
    assert refused.details() == said


async def test_a_refused_call_is_answered_by_trailers_alone_so_that_a_gateway_can_try_it_again(skops_model):
    app = App(Settings(model_dir=skops_model.directory, port=1), read(skops_model.directory))
    server, said, ended = RpcServer(app, app._settings), bytearray(), asyncio.Event()
    port = await server.port()

    async def recorded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer, said))
        ended.set()

    async with asyncio.timeout(60), await asyncio.start_server(recorded, "127.0.0.1", 0) as front:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{front.sockets[0].getsockname()[1]}") as channel:
            refused = await Client(channel).refused("ModelInfer", b"")
        await server.stop(0)
        await ended.wait()
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    kinds, data, headers = _frame_kinds(said), 0, 1
    assert (kinds.count(headers), kinds.count(data)) == (1, 0)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytearray | None = None
) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            if said is not None:
                said += data
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def _frame_kinds(data: bytes) -> list[int]:
    kinds, at = [], 0
    while at < len(data):
        kinds.append(data[at + 3])
        at += 9 + int.from_bytes(data[at : at + 3])
    return kinds


def _settings_frame(data: bytes) -> dict[int, int]:
    """What HTTP/2's first frame says: 9 bytes of head, then 2 of a name and 4 of a value each (RFC 9113)."""
    length = int.from_bytes(data[:3])
    return {
        int.from_bytes(data[at : at + 2]): int.from_bytes(data[at + 2 : at + 6])
        for at in range(9, 9 + length, 6)
    }


async def test_a_connection_has_a_limit_of_calls_above_the_servers_own(skops_model, loaded_app):
    app = loaded_app(skops_model.directory, max_concurrency=7)
    server = RpcServer(app, app._settings)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.port())
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
    async with asyncio.timeout(60):
        head = await reader.readexactly(9)
        said = _settings_frame(head + await reader.readexactly(int.from_bytes(head[:3])))
    writer.close()
    await server.stop(0)
    assert said[3] == 107


async def test_an_idle_connection_is_closed(skops_model, loaded_app):
    app = loaded_app(skops_model.directory, keep_alive_seconds=1)
    server = RpcServer(app, app._settings)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await server.port()}") as channel:
        await Client(channel).call("ServerLive")
        async with asyncio.timeout(60):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    await server.stop(0)


async def test_a_server_that_could_not_start_says_so_to_each_who_asks(app, monkeypatch):
    server = RpcServer(app, app._settings)

    async def broken():
        raise RequestError("no library")

    monkeypatch.setattr(server, "_start", broken)
    for _ in range(2):
        with pytest.raises(RequestError, match="no library"):
            await server.port()

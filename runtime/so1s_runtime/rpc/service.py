"""The methods of `inference.GRPCInferenceService`, and what each call passes on its way.

A call is counted and logged as its like over HTTP, by the same routes and statuses, so that whoever watches
or scales a server sees one load.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

import grpc
from grpc.aio import EOF, ServicerContext

from so1s_runtime import protocol
from so1s_runtime.app import App, State
from so1s_runtime.errors import RequestError
from so1s_runtime.identity import Asked, Identity, identify
from so1s_runtime.loaders import loader
from so1s_runtime.rpc import messages
from so1s_runtime.rpc.details import Metadata, failure
from so1s_runtime.rpc.infer import check_model, infer, parse

_SERVICE = "inference.GRPCInferenceService"

# Written by nginx for a caller that went away; it reaches metrics and logs only.
_CALLER_GONE = 499


class Call(NamedTuple):
    """One call: its names, and how its message is read."""

    identity: Identity
    read: Callable[[], Awaitable[bytes]]


class Method(NamedTuple):
    """`route` is its like over HTTP, as metrics name it."""

    route: str
    answer: Callable[[Call], Awaitable[bytes]]


class Service(grpc.GenericRpcHandler):
    """Finds the method of a call, and answers it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._received = app.messages
        self._label = f"{app.manifest.name}@{app.manifest.version}"
        methods = {
            "ServerLive": Method("/v2/health/live", self._live),
            "ServerReady": Method("/v2/health/ready", self._ready),
            "ServerMetadata": Method("/v2", self._server_metadata),
            "ModelReady": Method("/v2/models/{name}/ready", self._model_ready),
            "ModelMetadata": Method("/v2/models/{name}", self._model_metadata),
            "ModelInfer": Method("/v2/models/{name}/infer", self._infer),
            "RepositoryIndex": Method("/v2/repository/index", self._index),
        }
        # A stream is asked for, which one message is too: so it is read where there is room, and in time.
        self._handlers = {
            f"/{_SERVICE}/{name}": grpc.stream_unary_rpc_method_handler(
                partial(self._call, f"/{_SERVICE}/{name}", method)
            )
            for name, method in methods.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler of a path; gRPC answers UNIMPLEMENTED where there is none."""
        return self._handlers.get(handler_call_details.method)

    async def _call(self, path: str, method: Method, _: Any, context: ServicerContext) -> bytes:
        started, status = time.perf_counter(), _CALLER_GONE
        given = dict(context.invocation_metadata() or ())
        names = ("x-request-id", "x-correlation-id", "traceparent")
        identity = identify(*(_text(given.get(each)) for each in names))
        call = Call(identity, partial(self._read, context))
        named = ((name.decode(), value.decode()) for name, value in identity.headers())
        trailers: Metadata = (*named, ("x-model", self._label))
        try:
            answer, status = await method.answer(call), 200
        except RequestError as error:
            status = error.status
            await _fail(context, error, trailers)
        except Exception as error:  # noqa: BLE001 - the model is foreign code: whatever it raises is answered and logged
            status = 500
            await _fail(context, self._app.failed(error, identity, path), trailers)
        else:
            context.set_trailing_metadata(trailers)
            return answer
        finally:
            self._app.finished(Asked(method.route, "POST", path, identity, started), status)

    async def _read(self, context: ServicerContext) -> bytes:
        """The message. Raises RequestError: none, too slow (408), beside too many others (429)."""
        self._received.add(1)
        try:
            async with asyncio.timeout(self._app.room.body_seconds):
                message = await context.read()
        except TimeoutError:
            raise RequestError("the request did not arrive in time", status=408) from None
        finally:
            self._received.forget(1)
        if message is EOF:
            raise RequestError("the call has no message")
        return message

    async def _infer(self, call: Call) -> bytes:
        ask = partial(infer, self._app.loaded(), call.identity.request_id)
        return await self._app.answer(call.read, ask, call.identity)

    async def _live(self, _: Call) -> bytes:
        return messages.ServerLiveResponse(live=True).SerializeToString()

    async def _ready(self, _: Call) -> bytes:
        return messages.ServerReadyResponse(ready=self._is_ready).SerializeToString()

    async def _model_ready(self, call: Call) -> bytes:
        asked = parse(messages.ModelReadyRequest, await call.read())
        check_model(self._app.manifest, asked.name, asked.version)
        return messages.ModelReadyResponse(ready=self._is_ready).SerializeToString()

    async def _server_metadata(self, _: Call) -> bytes:
        return messages.ServerMetadataResponse(**protocol.server_metadata()).SerializeToString()

    async def _model_metadata(self, call: Call) -> bytes:
        manifest = self._app.manifest
        asked = parse(messages.ModelMetadataRequest, await call.read())
        check_model(manifest, asked.name, asked.version)
        said = protocol.model_metadata(manifest, loader(manifest.format).PLATFORM)
        return messages.ModelMetadataResponse(**said).SerializeToString()

    async def _index(self, call: Call) -> bytes:
        asked = parse(messages.RepositoryIndexRequest, await call.read())
        models = protocol.repository_index(self._app.manifest, ready=self._is_ready, only_ready=asked.ready)
        return messages.RepositoryIndexResponse(models=models).SerializeToString()

    @property
    def _is_ready(self) -> bool:
        return self._app.state is State.READY


async def _fail(context: ServicerContext, error: RequestError, trailers: Metadata) -> NoReturn:
    """End the call without a message, not even an empty one: a gateway tries again what has only trailers."""
    failed = failure(error)
    await context.abort(failed.code, failed.message, (*trailers, *failed.trailers))


def _text(value: str | bytes | None) -> str | None:
    return value if isinstance(value, str) else None

"""The HTTP face: every path the server answers, and what each request passes on its way."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

from so1s_runtime import exchange, openapi, protocol
from so1s_runtime.asgi import CallerGoneError, Head, Message, Receive, Request, Response, Send, json_response
from so1s_runtime.declared import as_declared
from so1s_runtime.errors import RequestError, unforeseen
from so1s_runtime.identity import UNKNOWN_ROUTE, Asked, Identity, identify, unnamed
from so1s_runtime.iotypes.types import types_of
from so1s_runtime.loaders import loader
from so1s_runtime.logs import log
from so1s_runtime.manifest import Manifest
from so1s_runtime.metrics import CONTENT_TYPE, Metrics
from so1s_runtime.model import Model, warm_up_inputs
from so1s_runtime.payloads import Payloads
from so1s_runtime.room import Room, room_of
from so1s_runtime.settings import Settings
from so1s_runtime.slots import Received, retry_after
from so1s_runtime.spans import Spans
from so1s_runtime.worker import Ask, Worker

_GOOD = 200

# Written by nginx for a caller that went away; it reaches metrics and logs only.
CALLER_GONE = 499

# So many of the largest requests of a model may come at once, whatever their size.
_LARGEST_AT_ONCE = 4

_CLOSE = (b"connection", b"close")

_NAMED_BY = (b"x-request-id", b"x-correlation-id", b"traceparent")
_NAMES = frozenset(_NAMED_BY)


T = TypeVar("T")


class State(StrEnum):
    """Where the server is in its life; it serves while ready and while draining."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


class Route(NamedTuple):
    """`template` names the route in metrics."""

    template: str
    method: str
    handler: Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Inference:
    """A path that asks the model: `begin` takes a request's head, and answers what takes its body."""

    template: str
    begin: Callable[[Head], Ask[Response]]


class App:
    """An ASGI application that serves one model, once `model` is set."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.manifest = manifest
        self.model: Model | None = None
        declared = manifest.declared or as_declared(manifest.signature)
        self.types = types_of(declared)
        self.room = room_of(declared.inputs, Room(settings.max_body_bytes, settings.body_seconds))
        self.payloads: Payloads | None = None
        self.spans: Spans | None = None
        self.draining = False
        self.worker = Worker(settings)
        self.metrics = Metrics(manifest, lambda: self.worker.slots.taken + self.worker.slots.queued)
        self._settings = settings
        usual = settings.max_concurrency * settings.max_body_bytes
        self.messages = Received(settings.max_concurrency)
        self.received = Received(max(usual, _LARGEST_AT_ONCE * self.room.body_bytes))
        self.inferences = self._inferences()
        self._label = (b"x-model", f"{manifest.name}@{manifest.version}".encode())
        self._routes = self._paths()

    @property
    def state(self) -> State:
        """Where the server is in its life."""
        if self.draining:
            return State.DRAINING
        return State.READY if self.model else State.LOADING

    def _inferences(self) -> dict[str, Inference]:
        name, version = self.manifest.name, self.manifest.version
        predict = self._predict_typed if self.manifest.declared else self._predict
        infer = Inference("/v2/models/{name}/infer", self._infer)
        return {
            "/predict": Inference("/predict", predict),
            f"/v2/models/{name}/infer": infer,
            f"/v2/models/{name}/versions/{version}/infer": infer,
        }

    def _paths(self) -> dict[str, Route]:
        name, version = self.manifest.name, self.manifest.version
        routes = {
            path: Route(inference.template, "POST", partial(self._ask, inference.begin))
            for path, inference in self.inferences.items()
        }
        routes |= {
            "/metrics": Route("/metrics", "GET", self._metrics),
            "/openapi.json": Route("/openapi.json", "GET", self._openapi),
            "/v2": Route("/v2", "GET", self._server_metadata),
            "/v2/": Route("/v2", "GET", self._server_metadata),
            "/v2/repository/index": Route("/v2/repository/index", "POST", self._index),
            "/v2/health/live": Route("/v2/health/live", "GET", self._live),
            "/v2/health/ready": Route("/v2/health/ready", "GET", self._ready),
        }
        for change in ("load", "unload"):
            template = f"/v2/repository/models/{{name}}/{change}"
            routes[f"/v2/repository/models/{name}/{change}"] = Route(template, "POST", self._change)
        for prefix in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            routes[prefix] = Route("/v2/models/{name}", "GET", self._model_metadata)
            routes[f"{prefix}/ready"] = Route("/v2/models/{name}/ready", "GET", self._ready)
        return routes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; `scope` is of type http."""
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request = Request(identity_in(headers), headers, receive)
        route = self._routes.get(scope["path"])
        try:
            response = await self._answer(scope, route, request)
            status = response.status
            fields = self.headers(request.identity)
            if status != _GOOD:
                rest_seconds = self.room.body_seconds - (time.perf_counter() - started)
                if not await request.forget_rest(rest_seconds):
                    fields.append(_CLOSE)
            await response.send(send, fields)
        except CallerGoneError:
            status = CALLER_GONE
        template = route.template if route else UNKNOWN_ROUTE
        asked = Asked(template, scope["method"], scope["path"], request.identity, started)
        self.finished(asked, status)

    def finished(self, asked: Asked, status: int) -> None:
        """Count an answer; log it, and tell its trace, where that is wanted."""
        seconds = time.perf_counter() - asked.started
        self.metrics.answered(asked.route, status, seconds)
        if self.spans:
            self.spans.finished(asked, status, seconds)
        if self._settings.access_log:
            fields: dict[str, Any] = {"method": asked.method, "path": asked.path, "status": status}
            fields |= {"milliseconds": round(seconds * 1000, 3), **asked.identity.log_fields()}
            log(logging.INFO, "request", **fields)

    async def _answer(self, scope: Message, route: Route | None, request: Request) -> Response:
        try:
            handler = _handler(scope, route, self.manifest)
            return await handler(request)
        except CallerGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the model is foreign code: whatever it raises is answered
            return self.refusal(error, request.identity, scope["path"])

    def refusal(self, error: Exception, identity: Identity, path: str) -> Response:
        """What a caller is answered where an error was raised, which is logged if it is no caller's fault."""
        told = error if isinstance(error, RequestError) else self.failed(error, identity, path)
        return json_response(told.body, told.status, told.headers)

    @staticmethod
    def failed(error: Exception, identity: Identity, path: str) -> RequestError:
        """Log an error that is no caller's fault; what a caller is told of it."""
        log(logging.ERROR, "request failed", error=error, path=path, **identity.log_fields())
        return unforeseen(error, identity.request_id)

    def headers(self, identity: Identity) -> list[tuple[bytes, bytes]]:
        """What every answer says of its request and of the server."""
        headers = identity.headers()
        headers.append(self._label)
        if self.draining:
            headers.append(_CLOSE)  # Callers move to another replica before this one closes their connection.
        return headers

    # These hand coroutines on, as each one more on the way costs.

    def _ask(self, begin: Callable[[Head], Ask[Response]], request: Request) -> Awaitable[Response]:
        ask = begin(request)
        return self.answer(partial(self._body, request), ask, request.identity)

    def _body(self, request: Request) -> Awaitable[bytes]:
        return request.body(self.room.body_bytes, self.room.body_seconds, self.received)

    def answer(self, body: Callable[[], Awaitable[Any]], ask: Ask[T], identity: Identity) -> Awaitable[T]:
        """See `Worker.answer`; payloads are sampled on the way."""
        return self.worker.answer(body, self.tapped(ask, identity))

    def tapped(self, ask: Ask[T], identity: Identity) -> Ask[T]:
        """The same, but that payloads are sampled."""
        return self.payloads.tapped(ask, identity) if self.payloads else ask

    def _predict(self, head: Head) -> Ask[Response]:
        if head.headers.get(b"content-type", b"").startswith(b"multipart/"):
            return self._predict_typed(head)
        return partial(exchange.predict, self.loaded())

    def _predict_typed(self, head: Head) -> Ask[Response]:
        content_type, accept = (head.header(name) for name in (b"content-type", b"accept"))
        return partial(exchange.predict_typed, self.loaded(), self.types, content_type, accept)

    def _infer(self, head: Head) -> Ask[Response]:
        return partial(exchange.infer, self.loaded(), head.identity.request_id, _json_length(head))

    def loaded(self) -> Model:
        """The model. Raises RequestError (503) while there is none."""
        if self.model is None:
            raise RequestError("the model is loading; try again later", status=503, headers=retry_after(1))
        return self.model

    async def _metrics(self, _: Request) -> Response:
        return Response(self.metrics.exposition(), content_type=CONTENT_TYPE)

    async def _live(self, _: Request) -> Response:
        return json_response({"live": True})

    async def _ready(self, _: Request) -> Response:
        ready = self.state is State.READY
        body = {"name": self.manifest.name, "ready": ready, "state": self.state}
        return json_response(body, 200 if ready else 503)

    async def _server_metadata(self, _: Request) -> Response:
        return json_response(protocol.server_metadata())

    async def _openapi(self, _: Request) -> Response:
        return json_response(self._document)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return openapi.document(self.manifest, warm_up_inputs(self.manifest, self._settings.model_dir))

    async def _index(self, request: Request) -> Response:
        only_ready = protocol.asks_for_ready(await self._body(request))
        ready = self.state is State.READY
        return json_response(protocol.repository_index(self.manifest, ready=ready, only_ready=only_ready))

    async def _change(self, _: Request) -> Response:
        served = f"{self.manifest.name}@{self.manifest.version}"
        raise RequestError(f"this server has {served} alone, from its image: publish another version instead")

    async def _model_metadata(self, _: Request) -> Response:
        return json_response(protocol.model_metadata(self.manifest, loader(self.manifest.format).PLATFORM))


def _handler(
    scope: Message, route: Route | None, manifest: Manifest
) -> Callable[[Request], Awaitable[Response]]:
    if route is None:
        message = f"nothing is served at {scope['path']}; this is {manifest.name}@{manifest.version}"
        raise RequestError(message, status=404, expected=f"/predict, /v2/models/{manifest.name}/infer")
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    if method != route.method:
        message = f"{scope['path']} answers {route.method}, not {method}"
        raise RequestError(message, status=405, headers=[(b"allow", route.method.encode())])
    return route.handler


def identity_in(headers: dict[bytes, bytes]) -> Identity:
    """The names of a request, as its headers give them."""
    if _NAMES.isdisjoint(headers):
        return unnamed()
    given = [headers.get(name) for name in _NAMED_BY]
    return identify(*(value.decode("latin-1") if value else None for value in given))


def _json_length(head: Head) -> int | None:
    """Where the binary data of a body begins; nothing where the body is JSON alone."""
    given = head.headers.get(protocol.JSON_LENGTH)
    if given is None:
        return None
    if not given.isdigit():
        name = protocol.JSON_LENGTH.decode()
        raise RequestError(f"{name} must be a number of bytes, is {given!r}", field=name)
    return int(given)

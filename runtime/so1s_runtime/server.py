"""The process: listen, load, serve, and on SIGTERM drain."""

import asyncio
import gc
import logging
import math
import socket
import time
from collections.abc import Iterator
from functools import partial
from types import FrameType

import uvicorn

from so1s_runtime import connection, manifest, model, trial
from so1s_runtime.app import App, State
from so1s_runtime.errors import AuthorError, ModelError
from so1s_runtime.logs import configure, log
from so1s_runtime.payloads import Payloads, redacted
from so1s_runtime.quick import QuickAnswers
from so1s_runtime.rpc.server import RpcServer
from so1s_runtime.settings import Settings, told_by
from so1s_runtime.sinks import Outbox, collector, sink
from so1s_runtime.spans import Spans

_SAID = "one row is the most that was said"


class Server(uvicorn.Server):
    """Answers probes while the model loads, and on SIGTERM serves on, not ready, before it stops.

    After `run`, `exit_code` is 1 if the model could not be served.
    """

    def __init__(self, settings: Settings, app: App) -> None:
        self._rpc = RpcServer(app, settings)
        self._outboxes = [*_sampled_payloads(settings, app), *_sampled_spans(settings, app)]
        super().__init__(_config(settings, app, self._rpc))
        self.exit_code = 0
        self._app = app
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, load the model meanwhile, and return once drained."""
        self._loop = asyncio.get_running_loop()
        loading = asyncio.create_task(self._load())
        await super().serve(sockets)
        loading.cancel()

    async def _load(self) -> None:
        started = time.perf_counter()
        app, settings = self._app, self._settings
        load = partial(model.load, app.manifest, settings.model_dir, settings.intra_threads)
        try:
            loaded = await app.worker.load(load)
            tried = await app.worker.load(partial(trial.attempt, loaded, settings.model_dir))
            rows = app.worker.use(tried, settings.batch_rows)
            gc.collect()
            gc.freeze()  # what was loaded stays, so that full rounds, which stop everything, need not walk it
            app.model = loaded
        except Exception as error:  # noqa: BLE001 - whatever stops the load must stop the process
            # Its author needs to see where code failed; of a broken file the reason tells all.
            expected = isinstance(error, ModelError) and not isinstance(error.__cause__, AuthorError)
            log(logging.ERROR, "cannot serve", reason=str(error), error=None if expected else error)
            self.exit_code = 1
            self.should_exit = True
        else:
            seconds = time.perf_counter() - started
            app.metrics.model_load_seconds.set(seconds)
            app.metrics.model_batch_rows.set(rows)
            ready = partial(log, logging.INFO, "ready", seconds=round(seconds, 3), batch_rows=rows)
            if rows == 1:
                ready(reason=tried.alone or _SAID)
            else:
                ready(batch_delay_ms=settings.batch_delay_ms)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in flight, over HTTP and gRPC."""
        stopping = asyncio.create_task(self._rpc.stop(_grace_seconds(self._settings, self._app)))
        await super().shutdown(sockets)
        if self.force_exit:
            await self._rpc.stop(0)
        await stopping
        for outbox in self._outboxes:
            await asyncio.to_thread(outbox.close)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Take a signal; the loop acts on it. Unlike uvicorn's, this does not raise it again later."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        """The first signal drains, the second stops once requests in flight are done, the third at once."""
        if self.should_exit:
            self.force_exit = True
        elif self._app.state is State.READY:
            self._app.draining = True
            log(logging.INFO, "draining", seconds=self._settings.drain_seconds)
            asyncio.get_running_loop().call_later(self._settings.drain_seconds, self._stop)
        else:
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


def run(settings: Settings) -> int:
    """Serve until a signal; returns the exit code of the process."""
    configure()
    try:
        found = manifest.read(settings.model_dir)
    except ModelError as error:
        log(logging.ERROR, "cannot serve", reason=str(error))
        return 1
    configure(model=f"{found.name}@{found.version}")
    settings = told_by(found, settings)
    try:
        listener = _listen(settings)
    except OSError as error:
        log(logging.ERROR, "cannot listen", reason=error.strerror)
        return 1
    server = Server(settings, App(settings, found))
    log(logging.INFO, "started", host=settings.host, port=settings.port)
    server.run([listener])
    log(logging.INFO, "stopped")
    return server.exit_code


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=2048)


def _sampled_payloads(settings: Settings, app: App) -> Iterator[Outbox]:
    """Begin to sample payloads, where a sink is named."""
    if not settings.payload_sink:
        return
    outbox = Outbox("payloads", sink(settings.payload_sink), app.metrics.payloads)
    app.payloads = Payloads(
        app.manifest,
        outbox.put,
        fraction=settings.payload_fraction,
        most_values=settings.payload_values,
        redacted=redacted(settings.payload_redact, app.types),
        drop=partial(app.metrics.payloads, "dropped", 1),
        owner=_owner(settings),
    )
    yield outbox


def _sampled_spans(settings: Settings, app: App) -> Iterator[Outbox]:
    """Begin to tell traces of their requests, where a collector is named."""
    if not settings.trace_collector:
        return
    owner = {f"so1s.{kind}": name for kind, name in _owner(settings).items()}
    resource = {"service.name": app.manifest.name, "service.version": app.manifest.version, **owner}
    outbox = Outbox("spans", collector(settings.trace_collector, resource), app.metrics.spans)
    app.spans = Spans(outbox.put)
    yield outbox


def _owner(settings: Settings) -> dict[str, str]:
    """Whose model it is, as far as that is known."""
    owner = {"account": settings.account, "deployment": settings.deployment}
    return {kind: name for kind, name in owner.items() if name}


def _grace_seconds(settings: Settings, app: App) -> int:
    return math.ceil(settings.request_seconds + app.room.body_seconds)


def _config(settings: Settings, app: App, rpc: RpcServer) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=connection.protocol(QuickAnswers(app, settings.max_body_bytes), rpc.port, settings.body_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=_grace_seconds(settings, app),
    )

"""Services: a consumer, its store, its loops and its HTTP side in one process.

consumer = Consumer("quality-checker")

@consumer.on(DeploymentReady)
async def check(ready: DeploymentReady) -> CheckFinished | None: ...

consumer.run()
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvicorn
from aiokafka.errors import KafkaConnectionError, KafkaError
from faststream.kafka import KafkaBroker
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from so1s import logs
from so1s.broker.failures import backoff_seconds
from so1s.broker.handlers import Handler, Rejected, Subscription
from so1s.broker.producer import Producer
from so1s.broker.subscribers import Parts, Subscriber, make_broker
from so1s.broker.topics import dead_letter_topic, prepare, wanted
from so1s.events.event import Event, Topic, catalogue
from so1s.health import Health
from so1s.loop import Leadership, Loop
from so1s.metrics import OUTBOX_DEPTH, OUTBOX_REFUSED
from so1s.platform import ConsumerSettings
from so1s.settings import ServiceSettings
from so1s.store import Store
from so1s.ways.kafka import unreachable

log = structlog.get_logger()

H = TypeVar("H", bound=Handler)
T = TypeVar("T")

SERVER_OPTIONS: dict[str, Any] = {"http": "h11", "log_config": None, "access_log": False}
"""Of uvicorn, for a service's HTTP side.

By httptools, which a checkout has, the body of a request is lost that proposes HTTP/2, as Java's client does.
"""
_RELAY_SECONDS = 1.0
_START_SECONDS = 1.0
"""The shortest wait of a start whose Kafka is away."""
_LAST_FLUSH_SECONDS = 5.0
_LOOK_SECONDS = 5.0
"""How often a process looks whether it can go on."""
_PRUNE_SECONDS = 3600.0
_SPARE_DAYS = 15
"""How long an inbox row outlives the topic that keeps its events longest: an event without one is new."""


class Consumer:
    """Handlers of events, under one name for groups, logs and metrics."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: list[Subscription] = []
        self._provided: dict[type, Any] = {}

    def on(
        self, event_class: type[Event], *, batch: bool = False, rejected: Rejected | None = None
    ) -> Callable[[H], H]:
        """Register the handler of an event type.

        Its first parameter is the event; further ones are injected by their types: `Transaction`,
        `Cause`, `Received`, and what `provide` gave. It returns the events that it produces, or None.

        Args:
            event_class: one handler each.
            batch: the first parameter is a list of `Received`, handled in one transaction. Since no
                single event is the cause of what such a handler says, it says it by
                `tx.emit(event, id=…)` and returns None.
            rejected: called as `rejected(error, fields)` with an event that goes to the dead letters,
                because it breaks a rule or its handler failed for good: answers the event that tells
                its author, from the error and the raw JSON fields. A field may be missing or wrong;
                where that makes the answer impossible, it may raise, and none is sent.

        Raises:
            TypeError: the event type has a handler already.
        """

        def register(handler: H) -> H:
            if any(each.event_class is event_class for each in self.subscriptions):
                raise TypeError(f"{self.name} has a handler of {event_class.__name__} already")
            self.subscriptions.append(Subscription(event_class, handler, batch, rejected, self._provided))
            return handler

        return register

    def provide(self, *parts: object) -> None:
        """Give handlers what they ask for by type."""
        self._provided.update({type(part): part for part in parts})

    def run(self) -> None:
        """Run as a service of its own until SIGTERM, with health, metrics, drain, retry and dead letters.

        `SO1S_KAFKA` says where Kafka is; below the directory of a laptop's platform nothing need be said.

        Raises:
            InvalidInput: each setting that breaks a rule.
        """
        Service(self.name, ConsumerSettings.load(), consumer=self).run()


class Service:
    """One process of So1s."""

    def __init__(
        self,
        name: str,
        settings: ServiceSettings,
        *,
        consumer: Consumer | None = None,
        store: Store | None = None,
        migrations: str | None = None,
        loops: Sequence[Loop] = (),
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        """Put a service together.

        Args:
            name: of the service, for groups, sources, logs and dead letters.
            settings: of the process.
            consumer: its handlers, where it has some.
            store: its database; that of the settings where it is absent, or else a temporary one.
            migrations: the package of its tables' migrations.
            loops: its reconcilers, workers and watchers.
            routes: its own HTTP API.
        """
        self.name = name
        self.settings = settings
        self._subscriptions = consumer.subscriptions if consumer else []
        self._temporary: Path | None = None
        self.store = store or self._open()
        self._migrations = migrations
        self._loops = list(loops)
        self._health = Health()
        self._producer = Producer(settings)
        self._server: uvicorn.Server | None = None
        self._failed = False
        self._opened = asyncio.Event()
        routes = [*self._health.routes(), *routes]
        self.app = Starlette(routes=routes, lifespan=self._lifespan)

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C; while Kafka is away, wait for it."""
        logs.configure(self.name, form=self.settings.log_format, level=self.settings.log_level)
        config = uvicorn.Config(
            self.app,
            host=self.settings.http_host,
            port=self.settings.http_port,
            # uvloop raises RuntimeError where it writes to a connection that Kafka has just closed. aiokafka
            # does not expect that: what fetches metadata for its client ends, without a word and for ever.
            loop="asyncio",
            **SERVER_OPTIONS,
            timeout_graceful_shutdown=int(self.settings.drain_seconds),
        )
        self._server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):  # the server stopped in order, and raises it again
            self._server.run()
        if self._failed:
            sys.exit(1)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncGenerator[None, None]:
        """Answer once the tables are there, however long Kafka is away, and stop whenever told to."""
        stop = asyncio.Event()
        work = asyncio.create_task(self._work(stop))
        work.add_done_callback(self._end)
        await self._opened.wait()
        yield
        stop.set()
        if not self._health.started:
            work.cancel()
        await asyncio.wait([work])

    async def _work(self, stop: asyncio.Event) -> None:
        async with self.running():
            # What was made by now stays: without it, each collection would walk through every import
            # again, which takes a third of the time of a batch of samples.
            gc.collect()
            gc.freeze()
            while not stop.is_set():
                await self._look(stop)

    async def _look(self, stop: asyncio.Event) -> None:
        """Look after a while whether this process can go on; where not, it ends, and is started anew."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await stop.wait()
        if not self._health.is_alive():
            log.critical("only a restart mends this: the process ends", problems=self._health.problems())
            # Not in order: what it would wait for may be what hangs. Whatever is lost, `kill -9` loses, too.
            os._exit(1)

    def _end(self, work: asyncio.Task[None]) -> None:
        """End the process; where nobody asked for that, tell why."""
        self._opened.set()
        if not work.cancelled() and (error := work.exception()):
            self._failed = True
            log.critical("the service cannot go on", exc_info=error)
        if self._server:
            self._server.should_exit = True

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Everything but the HTTP server: starts in order, stops in the opposite one."""
        self._check_handlers()
        async with AsyncExitStack() as stack:
            await self._open_store(stack)
            self._opened.set()
            stack.push_async_callback(self._producer.stop)
            await self._once_kafka_permits(self._reach_kafka)
            stack.push_async_callback(self._flush_last)
            relay = Loop("relay", self._flush, every_seconds=_RELAY_SECONDS, leader=False)
            self.store.on_emitted = relay.wake
            prune = Loop("prune", self._prune, every_seconds=_PRUNE_SECONDS)
            tasks = await stack.enter_async_context(_tasks(self._runners([relay, prune, *self._loops])))
            self._health.look_at(tasks)
            subscribers = await self._once_kafka_permits(partial(self._consume, stack))
            self._health.begin(subscribers)
            log.info("started", topics=len(self._subscriptions))
            yield
            log.info("stopping")
            self._health.stopping = True

    def _open(self) -> Store:
        if given := self.settings.database_url:
            return Store(given.get_secret_value(), producer=self.name, schema=self.settings.database_schema)
        self._temporary = Path(tempfile.mkdtemp(prefix=f"so1s-{self.name}-"))
        url = f"sqlite+aiosqlite:///{self._temporary}/store.db"
        return Store(url, producer=self.name, is_temporary=True)

    async def _open_store(self, stack: AsyncExitStack) -> None:
        if self._temporary:
            stack.callback(shutil.rmtree, self._temporary, ignore_errors=True)
        stack.push_async_callback(self.store.close)
        await self.store.migrate(self._migrations)

    def _check_handlers(self) -> None:
        for subscription in self._subscriptions:
            if missing := subscription.missing():
                raise TypeError(f"{subscription.handler}: nothing was provided for {', '.join(missing)}")

    async def _once_kafka_permits(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step of the start; goes on trying while Kafka is away, or refuses."""
        failures = 0
        while True:
            try:
                done = await step()
            except KafkaConnectionError as error:
                self._health.waits_for = str(unreachable(self.settings, error))
            except KafkaError as error:
                self._health.waits_for = f"Kafka refuses the start: {error}; `so1s doctor` looks closer"
            else:
                self._health.waits_for = ""
                return done
            failures += 1
            seconds = _START_SECONDS + backoff_seconds(failures)
            log.warning(self._health.waits_for, tries_again_in_seconds=round(seconds, 1))
            await asyncio.sleep(seconds)

    async def _reach_kafka(self) -> None:
        await prepare(self.settings, self._topics())
        await self._producer.start()

    def _topics(self) -> list[Topic]:
        topics = [subscription.event_class.topic for subscription in self._subscriptions]
        return list(dict.fromkeys([*wanted([]), *topics, dead_letter_topic(self.name)]))

    def _runners(self, loops: Sequence[Loop]) -> list[Callable[[], Any]]:
        led = [loop for loop in loops if loop.leader]
        leadership = Leadership(self.store.leases, self.settings.instance, led)
        return [leadership.run, *(loop.run for loop in loops if not loop.leader)]

    async def _consume(self, stack: AsyncExitStack) -> list[Subscriber]:
        broker: KafkaBroker = make_broker(self.settings)
        parts = Parts(self.name, self.settings, self.store, self._producer)
        subscribers = [Subscriber(broker, subscription, parts) for subscription in self._subscriptions]
        try:
            await broker.start()
        except BaseException:
            await _stop_all(subscribers)
            with suppress(ExceptionGroup):  # what stops a half-started consumer may fail, too, and tells less
                await broker.stop()
            raise
        stack.push_async_callback(broker.stop)
        stack.push_async_callback(_stop_all, subscribers)
        return subscribers

    async def _flush(self) -> None:
        outbox = self.store.outbox
        depth = await outbox.depth()
        if depth.unsent:
            await outbox.flush(self._producer)
            await outbox.retry(self._producer)
            depth = await outbox.depth()
        OUTBOX_DEPTH.set(depth.unsent)
        OUTBOX_REFUSED.set(depth.refused)

    async def _flush_last(self) -> None:
        """Send what waits; where Kafka is away, the next start does."""
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                await self._flush()

    async def _prune(self) -> None:
        longest = max(event_class.topic.retention_days for event_class in catalogue().values())
        await self.store.prune(older_than_days=longest + _SPARE_DAYS)


async def _stop_all(subscribers: Sequence[Subscriber]) -> None:
    await asyncio.gather(*(each.stop() for each in subscribers))


@asynccontextmanager
async def _tasks(runners: Sequence[Callable[[], Any]]) -> AsyncGenerator[list[asyncio.Task], None]:
    tasks = [asyncio.create_task(run()) for run in runners]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

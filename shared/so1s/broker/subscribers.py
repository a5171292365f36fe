"""FastStream subscribers: one consumer group a topic, one event in flight a partition.

The rules that keep events, found on a real broker:
- NACK_ON_ERROR alone holds the offset and the order; a failure pauses the partition, since it has
  no backoff of its own.
- The group's name holds the topic, so that a new subscription does not stop the others.
- What is handled is committed behind the handler, and before a partition goes to another replica: `offsets`.
- Static membership: a restarted replica gets its partitions back without a rebalance.
- A rebalance waits for the handler in flight, or two replicas would run one event at once; so does a stop
  for one that was cut off, which gives its event the attempt back.
- A task that consumes can end while its broker still runs: readiness looks at the tasks.
- A consumer can lose its way without a word, as by a rejoin that never ends: records wait, and none is
  taken. Nothing mends that but a new process, so the service ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream.exceptions import NackMessage
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from so1s.broker.batches import BatchDelivery
from so1s.broker.connection import client_options
from so1s.broker.delivery import Delivery
from so1s.broker.failures import backoff_seconds
from so1s.broker.handlers import Subscription
from so1s.broker.hearing import Answers, Hearing
from so1s.broker.offsets import Offsets
from so1s.metrics import LAG, OLDEST_UNHANDLED_SECONDS
from so1s.settings import ServiceSettings
from so1s.store import Store
from so1s.store.outbox import Sender

log = structlog.get_logger()

MAX_BATCH = 2000
"""Records of a batch: their transaction stays under 100 ms."""
_BATCH_WAIT_MS = 100
_FETCH_WAIT_MS = 250
"""How long Kafka holds a fetch that finds nothing.

aiokafka has one fetch at a time on its way to a broker, and it leaves out a partition whose event is
in hand for over 0.1 s: that partition's next event, or the same one again, may wait so long for its end.
A shorter one costs: seven idle services with a tenth of a second took half of a core, with this a third.
"""
_REST_FETCH_WAIT_MS = 1000
"""The same where no event came for a while; one that comes ends the wait, so that it is taken as soon."""
_ROUND_MS = 1000
"""aiokafka looks at all partitions at least so often; what happens ends its wait."""
_REST_BATCH_WAIT_MS = 500
"""FastStream waits so long for a batch, and sleeps as long where none came, which the first may wait for."""
_REST_SECONDS = 5.0
_STUCK_SECONDS = 300
"""Kafka's `max.poll.interval.ms`: who handles one event for longer loses the partition."""
_REVOKE_SECONDS = 30
_MECHANISMS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@dataclass(frozen=True)
class Parts:
    """What all subscribers of a service share."""

    service: str
    settings: ServiceSettings
    store: Store
    sender: Sender
    answers: Answers = field(default_factory=Answers)


class Subscriber:
    """One topic's events on their way to one handler."""

    def __init__(self, broker: KafkaBroker, subscription: Subscription, parts: Parts) -> None:
        self.topic = subscription.event_class.topic.name
        self._failures: defaultdict[TopicPartition, int] = defaultdict(int)
        self._in_hand: dict[TopicPartition, tuple[float, float]] = {}  # (event's time, began), in seconds
        self._hearing = Hearing(parts.answers)
        # A temporary store forgets with its process what was handled: only Kafka knows it then.
        self._offsets = Offsets(behind=not parts.store.is_temporary)
        self._taken_at = 0.0
        self._rest: asyncio.TimerHandle | None = None
        self._deliver = _delivery(subscription, parts)
        self._endpoint = broker.subscriber(
            self.topic,
            group_id=f"{parts.service}.{self.topic}",
            group_instance_id=f"{parts.service}.{parts.settings.instance}.{self.topic}",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            consumer_timeout_ms=_ROUND_MS,
            listener=_WaitForHandler(self),
            no_reply=True,
            parser=self._parse,
            decoder=_leave_body,
            **_batch_options(subscription),
        )
        self._endpoint(self._consume)
        LAG.labels(self.topic).set_function(self._lag)
        OLDEST_UNHANDLED_SECONDS.labels(self.topic).set_function(self._age)

    def problem(self) -> str | None:
        """Why this subscriber is not ready; None where it is."""
        if self._task_has_ended():
            return f"{self.topic}: not consuming"
        if self._is_lost():
            return f"{self.topic}: takes none of the events that wait"
        if any(time.monotonic() - began > _STUCK_SECONDS for _, began in self._in_hand.values()):
            return f"{self.topic}: one event for over {_STUCK_SECONDS} s"
        return None

    def has_ended(self) -> bool:
        """Whether nothing consumes any more."""
        return self._task_has_ended() or self._is_lost()

    def _task_has_ended(self) -> bool:
        """FastStream's broker does not know; its newest task does."""
        tasks = self._endpoint.tasks
        return not tasks or tasks[-1].done()

    def _is_lost(self) -> bool:
        return self._hearing.is_lost(self._consumer, busy=bool(self._in_hand))

    @property
    def _consumer(self) -> AIOKafkaConsumer | None:
        return self._endpoint.consumer

    async def release(self, partitions: Collection[TopicPartition]) -> None:
        """Let partitions go, once no handler is in flight and Kafka knows what is handled."""
        await self._endpoint.lock.wait_release(_REVOKE_SECONDS)
        for partition in partitions:
            self._in_hand.pop(partition, None)
            self._failures.pop(partition, None)
        await self._offsets.forget(partitions)

    async def stop(self) -> None:
        """Commit what is handled, before the consumer stops."""
        await self._offsets.stop()

    def wake(self, now: float) -> None:
        """Ask Kafka often, until no event came for a while."""
        self._taken_at = now
        if self._rest is None:
            self._wait_for_events(_FETCH_WAIT_MS, _BATCH_WAIT_MS)
            self._rest = asyncio.get_running_loop().call_later(_REST_SECONDS, self._rest_if_idle)

    def _rest_if_idle(self) -> None:
        left = self._taken_at + _REST_SECONDS - time.monotonic()
        if self._in_hand or self._failures:  # a partition waits for the end of a handler or of a backoff
            left = _REST_SECONDS
        if left > 0:
            self._rest = asyncio.get_running_loop().call_later(left, self._rest_if_idle)
        else:
            self._rest = None
            self._wait_for_events(_REST_FETCH_WAIT_MS, _REST_BATCH_WAIT_MS)

    def _wait_for_events(self, fetch_ms: int, batch_ms: int) -> None:
        """From the next fetch on; neither library has a public way to change it."""
        fetcher = self._consumer and self._consumer._fetcher  # noqa: SLF001
        if fetcher:
            fetcher._fetch_max_wait_ms = fetch_ms  # noqa: SLF001
        if isinstance(self._endpoint, BatchSubscriber):
            self._endpoint.batch_timeout_ms = batch_ms

    async def _consume(self, message: KafkaMessage) -> None:
        raw = message.raw_message
        records: Sequence[ConsumerRecord] = raw if isinstance(raw, tuple) else (raw,)
        oldest = {_of(each): each.timestamp for each in reversed(records)}
        began = time.monotonic()
        self.wake(began)
        self._in_hand |= {partition: (made / 1000, began) for partition, made in oldest.items()}
        try:
            await self._deliver(records)
        except Exception as error:
            self._hold(self._offsets.consumer, oldest, error)
            raise NackMessage from error  # what FastStream takes for no fault that it must tell
        # What was let go in the meantime may be further on by now, by another replica's hand.
        self._offsets.handled([each for each in records if _of(each) in self._in_hand])
        for partition in oldest:
            self._in_hand.pop(partition, None)
            self._failures.pop(partition, None)

    async def _parse(self, raw: Any, parse: Any) -> KafkaMessage:
        message = await _leave_headers(raw, parse)
        self._offsets.consumer = self._consumer
        message.consumer = self._offsets
        return message

    def _hold(self, consumer: Any, partitions: Iterable[TopicPartition], error: Exception) -> None:
        """Pause partitions; other partitions go on."""
        for partition in partitions:
            self._failures[partition] += 1
            seconds = backoff_seconds(self._failures[partition])
            consumer.pause(partition)
            asyncio.get_running_loop().call_later(seconds, _resume, consumer, partition)
            reason = f"{type(error).__name__}: {error}"
            log.warning("event comes again", topic=self.topic, in_seconds=round(seconds, 2), reason=reason)

    def _lag(self) -> int:
        return self._hearing.lag(self._consumer)

    def _age(self) -> float:
        oldest = min((made for made, _ in self._in_hand.values()), default=None)
        return 0.0 if oldest is None else time.time() - oldest


class _WaitForHandler(ConsumerRebalanceListener):
    """Lets the handler in flight finish before its partition goes to another replica."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Wait, and forget what was held: it is another replica's now."""
        if revoked:
            await self._subscriber.release(revoked)

    async def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002
        """What waits there is about to come; offsets are Kafka's."""
        self._subscriber.wake(time.monotonic())


def make_broker(settings: ServiceSettings) -> KafkaBroker:
    """FastStream's broker, for consumers alone: it creates no topics, and tells of its own errors alone."""
    return KafkaBroker(
        settings.kafka.split(","),
        security=_security(settings),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=settings.drain_seconds,
        apply_types=False,
        logger=_Errors(),
    )


class _Errors:
    """What FastStream logs goes here: its errors are ours, too, and its news are not."""

    def log(
        self, level: int, msg: Any, /, *, exc_info: Any = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Tell an error."""
        if level >= logging.ERROR:
            log.error("consumer failed", reason=str(msg), exc_info=exc_info, **(extra or {}))


def _security(settings: ServiceSettings) -> BaseSecurity | None:
    options = client_options(settings)
    context = options.get("ssl_context")
    encrypted = context is not None
    if "sasl_mechanism" not in options:
        return BaseSecurity(ssl_context=context, use_ssl=True) if encrypted else None
    user, password = options["sasl_plain_username"], options["sasl_plain_password"]
    mechanism = _MECHANISMS[options["sasl_mechanism"]]
    return mechanism(username=user, password=password, ssl_context=context, use_ssl=encrypted)


def _delivery(subscription: Subscription, parts: Parts) -> Any:
    options = {"service": parts.service, "store": parts.store, "sender": parts.sender}
    if subscription.batch:
        return BatchDelivery(subscription, instance=parts.settings.instance, **options).many
    delivery = Delivery(subscription, **options)

    async def one(records: Sequence[ConsumerRecord]) -> None:
        await delivery.one(records[0])

    return one


def _batch_options(subscription: Subscription) -> dict[str, Any]:
    if not subscription.batch:
        return {}
    return {"batch": True, "max_records": MAX_BATCH, "batch_timeout_ms": _BATCH_WAIT_MS}


def _of(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _resume(consumer: Any, partition: TopicPartition) -> None:
    if partition in consumer.assignment():
        consumer.resume(partition)


async def _leave_headers(raw: Any, parse: Any) -> KafkaMessage:
    """Parse without headers: FastStream would lose a message whose headers are not UTF-8.

    Of a batch it looks at the first and the last record; to parse each would take as long as to read it.
    """
    is_batch = isinstance(raw, tuple)
    ends = [replace(each, headers=()) for each in ((raw[0], raw[-1]) if is_batch else (raw,))]
    message = await parse(tuple(ends) if is_batch else ends[0])
    message.raw_message = raw
    return message


async def _leave_body(message: KafkaMessage) -> KafkaMessage:
    """Decode nothing: bad JSON is the delivery's to bury, and FastStream's to repeat for ever."""
    return message

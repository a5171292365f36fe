"""Whether what a consumer is assigned comes through to its handler."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

LOST_SECONDS = 60.0
"""A rejoin, a new leader and the 40 s of a request without an answer are over sooner."""
_UNHEARD_MS = 5000
"""How much older a partition's last fetch may be than another's: each asks for all that are not in hand."""


@dataclass
class Answers:
    """When Kafka last answered a fetch of any consumer in the process, in milliseconds since 1970."""

    at: int = 0


class Hearing:
    """What is known of one consumer's way from Kafka, between looks at it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._position = 0
        self._moved_at = time.monotonic()

    def is_lost(self, consumer: AIOKafkaConsumer | None, *, busy: bool) -> bool:
        """Whether it took no event for a minute though some wait, or though Kafka answers others and not it.

        Args:
            consumer: None before the start and after the end.
            busy: a handler has an event in hand.
        """
        now = time.monotonic()
        position = sum(_positions(consumer).values())
        idle = busy or _is_paused(consumer) or not (self.lag(consumer) or self._is_unheard(consumer))
        if idle or position != self._position:
            self._position, self._moved_at = position, now
        return now - self._moved_at > LOST_SECONDS

    def lag(self, consumer: AIOKafkaConsumer | None) -> int:
        """How many records Kafka has told of that the handler has not been given."""
        if consumer is None:
            return 0
        return sum(max(0, (consumer.highwater(each) or 0) - at) for each, at in _positions(consumer).items())

    def _is_unheard(self, consumer: AIOKafkaConsumer | None) -> bool:
        """Where Kafka answers nobody, it is away, and comes back without a restart."""
        if consumer is None:
            return False
        answered = [consumer.last_poll_timestamp(each) or 0 for each in consumer.assignment()]
        self._answers.at = max([self._answers.at, *answered])
        return any(self._answers.at - at > _UNHEARD_MS for at in answered)


def _positions(consumer: AIOKafkaConsumer | None) -> dict[TopicPartition, int]:
    if consumer is None:
        return {}
    # The public form waits for Kafka where there is no position yet.
    subscription = consumer._subscription.subscription  # noqa: SLF001
    states = {each: subscription.assignment.state_value(each) for each in consumer.assignment()}
    return {each: state.position for each, state in states.items() if state and state.has_valid_position}


def _is_paused(consumer: AIOKafkaConsumer | None) -> bool:
    return consumer is not None and bool(consumer.paused())

"""What publishers and those who wait ask of a platform."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from so1s.errors import Unreachable
from so1s.events.envelope import Cause, Received
from so1s.events.event import Event
from so1s.platform import ClientSettings
from so1s.settings import KafkaSettings


class Way(Protocol):
    """How a client speaks with a platform, and hears what it answers."""

    async def open(self) -> None:
        """Connect, to speak.

        Raises:
            Unreachable: nobody answers.
            Unauthorized: the token is not valid.
        """
        ...

    async def close(self) -> None:
        """Send what waits, and disconnect."""
        ...

    async def say(self, event: Event, *, id: str, source: str, cause: Cause | None) -> None:  # noqa: A002 - CloudEvents' word
        """Say an event, once; return when the platform will not lose it.

        Raises:
            Unreachable: nobody answers; it may have been said.
            So1sError: it is refused, and why.
        """
        ...

    def chain(
        self, correlation_id: str, kinds: Sequence[type[Event]], *, begins: bool = False
    ) -> AsyncGenerator[list[Received[Any]], None]:
        """The events of some kinds in one chain: all that happened so far, then what comes.

        Without end, and some of them again and again. It needs no `open`.

        Args:
            correlation_id: of the chain.
            kinds: the event types that are of interest.
            begins: the chain has no event yet: the first list is empty, and comes as soon as no event can be
                missed any more.

        Raises:
            Unreachable: nobody answers.
        """
        ...

    async def past(self, correlation_id: str, kinds: Sequence[type[Event]]) -> list[Received[Any]]:
        """The events of some kinds that happened in one chain so far. It needs no `open`.

        Raises:
            Unreachable: nobody answers.
        """
        ...

    def away(self, error: BaseException) -> Unreachable:
        """The error of a platform that does not answer, and what to do about it."""
        ...


def way_to(settings: KafkaSettings) -> Way:
    """The way that settings mean: over HTTP where they name a console, else to Kafka.

    Raises:
        InvalidInput: they name a console and no token of it.
    """
    if isinstance(settings, ClientSettings) and settings.url:
        from so1s.ways.http import HttpWay

        return HttpWay(settings)
    from so1s.ways.kafka import KafkaWay

    return KafkaWay(settings)

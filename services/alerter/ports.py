"""What the alerter needs of the world, in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.alerter.domain.message import Message
from so1s.errors import PermanentError, TemporaryError


@dataclass(frozen=True)
class Mark:
    """Goes with a message or reply unseen, so that it is found again after a crash."""

    incident: str
    reply: int = 0
    """The revision that a reply tells of; 0 for the message itself."""


@dataclass(frozen=True)
class Posted:
    """Where a message is."""

    channel: str
    ts: str
    """The messenger's name of it within the channel."""


class SlowDown(TemporaryError):
    """The messenger asks for a pause."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the messenger asks for a pause of {seconds:g} s")
        self.seconds = seconds


class Refused(TemporaryError):
    """The messenger will not take this, such as for a wrong channel: it waits for the operator, alone."""


class MessageGone(PermanentError):
    """A person deleted the message, or the workspace lets nobody edit it any more."""

    reason = "message_gone"


class Messenger(Protocol):
    """Shows incidents to people.

    Each call raises `SlowDown` where the messenger is rate-limited, `Refused` where it will not do this,
    and `TemporaryError` where it is away. Where only its answer is lost, the call has had its effect all
    the same.
    """

    async def post(self, message: Message, mark: Mark, account: str) -> Posted:
        """Show a message to those who watch the account."""
        ...

    async def find(self, mark: Mark, account: str, since: datetime) -> Posted | None:
        """The message of a mark, if it was posted since."""
        ...

    async def edit(self, posted: Posted, message: Message, mark: Mark) -> None:
        """Show another message in its place.

        Raises:
            MessageGone: it cannot be edited.
        """
        ...

    async def reply(self, posted: Posted, text: str, mark: Mark) -> Posted:
        """Add to the message's thread.

        Raises:
            MessageGone: it has no thread any more.
        """
        ...

    async def find_reply(self, posted: Posted, mark: Mark) -> Posted | None:
        """The reply of a mark in the message's thread."""
        ...


class DeadLetters(Protocol):
    """The events that services could not handle."""

    async def kept(self) -> dict[str, int]:
        """How many are kept, by service.

        Raises:
            TemporaryError: they cannot be counted now.
        """
        ...

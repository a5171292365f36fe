"""Whose build is next: accounts take turns, so that many uploads of one never hold up another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Waiting:
    """A build that could start now."""

    account: str
    model: str
    version: str
    queued_at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What an account has had so far."""

    running: int = 0
    last_started_at: float = 0.0
    """Seconds since the epoch; 0 for never."""


_NO_TURN = Turn()
W = TypeVar("W", bound=Waiting)


def choose(waiting: Iterable[W], turns: Mapping[str, Turn]) -> W | None:
    """The next build: of the account with the fewest running, then the one served longest ago; its oldest."""

    def rank(build: Waiting) -> tuple[int, float, float, str, str, str]:
        turn = turns.get(build.account, _NO_TURN)
        return (
            turn.running,
            turn.last_started_at,
            build.queued_at,
            build.account,
            build.model,
            build.version,
        )

    return min(waiting, key=rank, default=None)

"""Whose build is next: accounts take turns, so that many uploads of one never hold up another's.

Within an account builds go by their place: the time at which they were queued, less their priority's head
start. So nobody waits for ever: only what comes within the two hours between `low` and `high` can overtake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from so1s.events.model import Priority

HEAD_START_SECONDS: Mapping[Priority, float] = {"high": 3600.0, "normal": 0.0, "low": -3600.0}
"""`high` goes before all that came up to an hour earlier; `low` lets all pass that come within an hour."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An account with builds that could start now, and what it has had so far."""

    first_place: float
    """Of its builds that wait."""
    running: int = 0
    last_started_at: float = 0.0
    """Seconds since the epoch; 0 for never."""


def place(queued_at: float, priority: Priority) -> float:
    """A build's place among those of its account; the lowest is next."""
    return queued_at - HEAD_START_SECONDS[priority]


def choose(turns: Mapping[str, Turn], limit: int) -> str | None:
    """The account whose build is next: with the fewest running, then the one served longest ago.

    Args:
        turns: by account; each has a build that could start now.
        limit: builds of one account at once.
    """

    def rank(account: str) -> tuple[int, float, float, str]:
        turn = turns[account]
        return turn.running, turn.last_started_at, turn.first_place, account

    return min((each for each, turn in turns.items() if turn.running < limit), key=rank, default=None)


def reason_to_wait(running: int, limit: int, *, problem: str | None) -> str:
    """What a build waits for that could start otherwise, for people.

    Args:
        running: builds of its account that are in hand.
        limit: see `choose`.
        problem: what its last try met, where it was put off.
    """
    if problem:
        return f"another try, after: {problem}"
    if running >= limit:
        said = f"one of the account's {running} running builds to end"
        return f"{said}: {limit} at once are allowed (SO1S_BUILDS_PER_ACCOUNT)"
    return "a free worker"

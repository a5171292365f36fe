"""Times as people say them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from so1s.errors import InvalidInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def shown(text: str | None) -> str:
    """An ISO 8601 time as people read it: to the second, in UTC; empty where there is none."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if text else ""


def between(earlier: str, later: str) -> float:
    """The seconds from one ISO 8601 time to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def clock(text: str) -> str:
    """An ISO 8601 time of about now: to the second, in UTC, without the day."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%H:%M:%S} UTC"


def moment(text: str, *, now: datetime | None = None) -> datetime:
    """A time such as `2026-11-24T12:00` (UTC where it has no zone), or an age such as `10m`.

    Raises:
        InvalidInput: it is neither.
    """
    now = now or datetime.now(UTC)
    if age := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        allowed = "allowed: a time such as 2026-11-24T12:00, or an age such as 30s, 10m, 2h, 7d"
        raise InvalidInput.of("from", text, allowed) from None
    return said if said.tzinfo else said.replace(tzinfo=UTC)

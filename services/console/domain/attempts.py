"""Failed attempts to prove an identity: after too many of them, who fails has to wait."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_MOST = 10_000
"""Whoever is remembered at once; of more, those that began first are forgotten."""


@dataclass
class Attempts:
    """Counts failures by who tries, in a window that begins with the first one."""

    limit: int
    window_seconds: float
    _failures: OrderedDict[tuple[str, str], tuple[float, int]] = field(default_factory=OrderedDict)

    def wait_seconds(self, who: tuple[str, str], now: float) -> float:
        """How long somebody has to wait before the next attempt; 0 for most."""
        began, failures = self._failures.get(who, (now, 0))
        return max(began + self.window_seconds - now, 0.0) if failures >= self.limit else 0.0

    def failed(self, who: tuple[str, str], now: float) -> None:
        """Count a failure."""
        began, failures = self._failures.pop(who, (now, 0))
        if began + self.window_seconds <= now:
            began, failures = now, 0
        self._failures[who] = (began, failures + 1)
        if len(self._failures) > _MOST:
            self._failures.popitem(last=False)

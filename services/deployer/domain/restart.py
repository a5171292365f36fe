"""When a replica whose process ended is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The restart policy: at once, then after `first_seconds`, doubled each time, up to `most_seconds`.

    Kubernetes' own figures are 10 s, 300 s and 600 s.
    """

    first_seconds: float = 1.0
    most_seconds: float = 60.0
    stable_seconds: float = 60.0
    """A process that ran for so long starts the count anew."""

    def failures(self, before: int, ran_seconds: float) -> int:
        """How many processes in a row ended early, one that ran for `ran_seconds` included."""
        return 1 if ran_seconds >= self.stable_seconds else before + 1

    def delay_seconds(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        if failures <= 1:
            return 0.0
        # Bounded, since a float overflows at 2 ** 1024.
        return min(self.most_seconds, self.first_seconds * 2.0 ** min(failures - 2, 60))

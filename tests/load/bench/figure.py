"""A figure, and how it compares."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the benchmarks; a unit is a rate, such as `events/s`, a time, such as `ms`, or a count."""

    name: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float | None = None

    @property
    def ratio(self) -> float | None:
        """How much of the peer's speed ours has: 1 is as fast, 0.5 takes twice the time; None of nothing."""
        if not self.theirs or not self.ours:
            return None
        return self.ours / self.theirs if self.unit.endswith("/s") else self.theirs / self.ours


def shown(value: float | None) -> str:
    """Three digits are what a benchmark knows: 12,300; 41.2; 0.0123."""
    if value is None:
        return ""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:.3g}"

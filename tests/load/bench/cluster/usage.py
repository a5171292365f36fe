"""What processes use."""

from dataclasses import dataclass
from typing import Self

import psutil

_MIB = 2**20


@dataclass(frozen=True)
class Usage:
    """Of one process, since it began and by now."""

    cpu_seconds: float
    memory_mib: float

    @classmethod
    def of(cls, pid: int) -> Self:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return cls(times.user + times.system, process.memory_info().rss / _MIB)

    def since(self, before: Self) -> float:
        """The CPU seconds in between."""
        return self.cpu_seconds - before.cpu_seconds

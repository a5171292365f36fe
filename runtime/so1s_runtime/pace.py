"""How long calls of the model take, as seen lately; pure."""

from dataclasses import dataclass

# A few times what the way to a thread and back costs: a call this short gains by staying on the event loop.
QUICK_SECONDS = 0.001

# The time of a call depends on its size, and a larger one than this was perhaps never seen.
SMALL_BYTES = 16 * 1024

# One call whose work is slow sends the next ones to a thread. After a long call, the work of so many is seen.
_QUICK_IN_A_ROW = 16

# How much the latest call counts in the average.
_LATEST = 1 / 8


@dataclass(slots=True)
class Pace:
    """What was seen of a model; `steady` is what its loader says of it.

    `seconds` is the average time that one request keeps a thread, smoothed over the last calls.
    """

    steady: bool = False
    seconds: float = 0.0
    _quick: int = 0
    _doubted: int = 0

    @property
    def in_doubt(self) -> bool:
        """Whether a call took long lately, which may be its own work or a busy machine's."""
        return self._doubted > 0

    def see(self, seconds: float) -> None:
        """Note the time that a request kept a thread."""
        self.seconds += (seconds - self.seconds) * _LATEST

    def see_duration(self, seconds: float) -> None:
        """Note how long one request took on the event loop. A short one is cheaper to see so than as work."""
        if seconds > QUICK_SECONDS:
            self._doubted = _QUICK_IN_A_ROW

    def see_work(self, seconds: float) -> None:
        """Note the processor time of one request: unlike its duration, a busy machine does not change it."""
        self._doubted = max(0, self._doubted - 1)
        self._quick = min(self._quick + 1, _QUICK_IN_A_ROW) if seconds <= QUICK_SECONDS else 0

    def is_quick(self, size: int) -> bool:
        """Whether a request of `size` bytes may be answered on the event loop."""
        return self.steady and self._quick == _QUICK_IN_A_ROW and size <= SMALL_BYTES

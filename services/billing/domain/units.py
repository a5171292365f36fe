"""What meters count in, and what people read."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from so1s.events.usage import Meter

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Unit:
    """The unit that a meter is priced and shown in."""

    name: str
    size: int
    """In the meter's own integers."""

    def shown(self, quantity: int) -> str:
        """A meter's quantity in this unit, to six decimal places."""
        amount = (Decimal(quantity) / self.size).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        return f"{amount:f} {self.name}"


_VCPU_HOUR = Unit("vCPU-hour", 1000 * _HOUR_MS)  # of millicore-milliseconds
_GPU_HOUR = Unit("GPU-hour", _HOUR_MS)
_GIB_HOUR = Unit("GiB-hour", 1024 * _HOUR_MS)  # of mebibyte-milliseconds

UNITS: dict[Meter, Unit] = {
    "cpu_reserved": _VCPU_HOUR,
    "cpu_used": _VCPU_HOUR,
    "memory_reserved": _GIB_HOUR,
    "memory_used": _GIB_HOUR,
    "gpu_reserved": _GPU_HOUR,
    "gpu_used": _GPU_HOUR,
    "requests": Unit("million requests", 1_000_000),
}

NANO = 10**9
"""Nano-USD of one US dollar."""


def dollars(nano_usd: int) -> str:
    """An amount as an exact decimal of US dollars."""
    sign = "-" if nano_usd < 0 else ""
    whole, part = divmod(abs(nano_usd), NANO)
    return f"{sign}{whole}.{part:09d}"

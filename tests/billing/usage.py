"""Usage events as billing receives them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from services.billing.domain.prices import Price, PriceBook
from so1s.events import UsageCorrected, UsageSampled
from so1s.events.envelope import Received

DAY = datetime(2026, 11, 24, tzinfo=UTC)
PRICES = PriceBook(
    [
        Price(meter="cpu_reserved", per="vCPU-hour", nano_usd=40_000_000, valid_from=date(2026, 1, 1)),
        Price(meter="cpu_reserved", per="vCPU-hour", nano_usd=50_000_000, valid_from=date(2026, 11, 25)),
        Price(meter="memory_reserved", per="GiB-hour", nano_usd=5_000_000, valid_from=date(2026, 1, 1)),
        Price(meter="requests", per="million requests", nano_usd=200_000_000, valid_from=date(2026, 1, 1)),
    ]
)


def sampled(kind: type[UsageSampled] = UsageSampled, **changes: Any) -> UsageSampled:
    said = {
        "account": "risk",
        "deployment": "fraud",
        "model": "fraud",
        "version": "3",
        "replica": "u1",
        "window_start": DAY,
        "window_seconds": 5,
        "quantities": {"cpu_reserved": 2_500_000, "memory_reserved": 2_560_000, "cpu_used": 700_000},
        "quality": "complete",
        "user": "jiho",
    }
    return kind(**(said | changes))


def received(event: UsageSampled, event_id: str = "e1", *, second: int = 0) -> Received[Any]:
    at = DAY + timedelta(seconds=second)
    return Received(event, event_id, "so1s/collector", at, "upload-1", "chain-1", "")


def corrected(quantities: dict[str, int], event_id: str = "c1", *, second: int = 10) -> Received[Any]:
    return received(sampled(UsageCorrected, quantities=quantities), event_id, second=second)


meters = st.sampled_from(["cpu_reserved", "memory_reserved", "requests", "cpu_used"])
quantities = st.dictionaries(meters, st.integers(0, 10**12), max_size=4)


@st.composite
def histories(draw: st.DrawFn) -> list[Received[Any]]:
    """Samples of distinct windows, and corrections of some of them, each made at its own second."""
    names = st.tuples(
        st.sampled_from(["risk", "shop"]), st.sampled_from(["u1", "u2"]), st.integers(0, 40_000)
    )
    windows = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    history = []
    for account, replica, number in windows:
        named = {"account": account, "replica": replica, "window_start": DAY + timedelta(seconds=5 * number)}
        kinds = draw(
            st.sampled_from(
                [[UsageSampled], [UsageSampled, UsageCorrected, UsageCorrected], [UsageCorrected]]
            )
        )
        for kind in kinds:
            busy = draw(st.none() | st.integers(0, 10**12))
            event = sampled(kind, quantities=draw(quantities), gpu_used=busy, **named)
            history.append(received(event, f"e{len(history)}", second=len(history)))
    return history

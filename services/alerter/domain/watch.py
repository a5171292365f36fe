"""How windows add up: a condition must hold before an incident opens, and health must last to end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from services.alerter.domain.readings import Evidence, Reading, RestartCount, read, remember_restarts
from services.alerter.domain.rules import RestartLoop, Rule
from so1s.events import HealthSampled, Value


class Watch(Value):
    """What is remembered of one rule and one subject from window to window."""

    seen_until: AwareDatetime | None = None
    """The end of the latest window."""
    spoke_at: AwareDatetime | None = None
    """The end of the latest window that said something of the rule."""
    breached_since: AwareDatetime | None = None
    """The start of the first window of the present breach."""
    breached_until: AwareDatetime | None = None
    """The end of its latest window."""
    healthy_since: AwareDatetime | None = None
    """While an incident is open: since when all windows that speak are healthy."""
    evidence: Evidence = Evidence.REPLICAS
    """The strongest evidence of the present breach."""
    worst: float = 0.0
    """The largest badness that was told."""
    told_at: AwareDatetime | None = None
    open: bool = False
    """Whether an incident is open."""
    restarts: list[RestartCount] = []


@dataclass(frozen=True)
class Turn:
    """A window that changes an incident."""

    kind: Literal["opened", "worsened", "resolved"]
    since: datetime
    """When the condition, or for `resolved` health, began."""
    at: datetime
    """The end of the window that decided."""
    reading: Reading


def step(
    watch: Watch, rule: Rule, sample: HealthSampled, update_every_seconds: int
) -> tuple[Watch, Turn | None]:
    """Take one window into account.

    A window that says nothing changes nothing: silence is no health, and no breach either. A late
    window, from before one already judged, is left out.
    """
    end = _end(sample)
    if watch.seen_until is not None and end <= watch.seen_until:
        return watch, None
    restarts = _restarts(watch, rule, sample)
    watch = watch.model_copy(update={"seen_until": end, "restarts": restarts})
    reading = read(rule, sample, restarts)
    # Probes alone do not refute failed requests.
    if reading is None or not (reading.breached or reading.evidence >= watch.evidence):
        return watch, None
    watch = watch.model_copy(update={"spoke_at": end})
    if reading.breached:
        return _breached(watch, rule, sample, reading, timedelta(seconds=update_every_seconds))
    return _healthy(watch, rule, sample, reading)


def _breached(
    watch: Watch, rule: Rule, sample: HealthSampled, reading: Reading, pause: timedelta
) -> tuple[Watch, Turn | None]:
    end = _end(sample)
    since = watch.breached_since if _goes_on(watch, rule, sample) else None
    since = since or sample.window_start
    watch = watch.model_copy(
        update={
            "breached_since": since,
            "breached_until": end,
            "healthy_since": None,
            "evidence": max(watch.evidence, reading.evidence),
        }
    )
    if not watch.open and end - since >= timedelta(seconds=rule.hold_seconds):
        return _told(watch, reading, end), Turn("opened", since, end, reading)
    worse = watch.open and reading.badness > watch.worst
    if worse and watch.told_at is not None and end - watch.told_at >= pause:
        return _told(watch, reading, end), Turn("worsened", since, end, reading)
    return watch, None


def _healthy(watch: Watch, rule: Rule, sample: HealthSampled, reading: Reading) -> tuple[Watch, Turn | None]:
    quiet = Watch(seen_until=watch.seen_until, spoke_at=watch.spoke_at, restarts=watch.restarts)
    if not watch.open:
        return quiet, None
    since = watch.healthy_since or sample.window_start
    if _end(sample) - since < timedelta(seconds=rule.settle_seconds):
        return watch.model_copy(update={"healthy_since": since}), None
    return quiet, Turn("resolved", since, _end(sample), reading)


def _goes_on(watch: Watch, rule: Rule, sample: HealthSampled) -> bool:
    """Whether a breach continues the one before; longer silence than the rule's span parts them."""
    if watch.open or watch.breached_until is None:
        return watch.open
    return sample.window_start - watch.breached_until <= timedelta(seconds=rule.hold_seconds)


def _told(watch: Watch, reading: Reading, at: datetime) -> Watch:
    return watch.model_copy(update={"open": True, "worst": reading.badness, "told_at": at})


def _restarts(watch: Watch, rule: Rule, sample: HealthSampled) -> list[RestartCount]:
    if not isinstance(rule.when, RestartLoop):
        return []
    return remember_restarts(watch.restarts, _end(sample), sample.restarts, rule.when.within_seconds)


def _end(sample: HealthSampled) -> datetime:
    return sample.window_start + timedelta(seconds=sample.window_seconds)

"""How windows add up: a condition must hold before an incident opens, and health must last to end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Self

from pydantic import AwareDatetime

from services.alerter.domain.readings import Evidence, Reading, RestartCount, read, remember_restarts
from services.alerter.domain.rules import RestartLoop, Rule
from so1s.events import GatewaySampled, HealthSampled, Value


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
    was_ready: bool = False
    """Whether a window had a ready replica: until one had, there is a rollout and no outage."""
    restarts: list[RestartCount] = []


class Span(NamedTuple):
    """The time that a reading speaks of."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, sample: HealthSampled | GatewaySampled) -> Self:
        """A window's."""
        return cls(sample.window_start, sample.window_start + timedelta(seconds=sample.window_seconds))


@dataclass(frozen=True)
class Turn:
    """A reading that changes an incident."""

    kind: Literal["opened", "worsened", "resolved"]
    since: datetime
    """When the condition, or for `resolved` health, began."""
    at: datetime
    """The end of the span that decided."""
    reading: Reading


def step(watch: Watch, rule: Rule, sample: HealthSampled, pause: timedelta) -> tuple[Watch, Turn | None]:
    """Take one window into account.

    A window that says nothing changes nothing: silence is no health, and no breach either. A late
    window, from before one already judged, is left out.

    Args:
        watch: what is remembered.
        rule: one that has a measure.
        sample: the window.
        pause: an open incident is told to be worse at most this often.
    """
    span = Span.of(sample)
    if watch.seen_until is not None and span.end <= watch.seen_until:
        return watch, None
    restarts = _restarts(watch, rule, span.end, sample.restarts)
    was_ready = watch.was_ready or sample.replicas_ready > 0
    watch = watch.model_copy(update={"seen_until": span.end, "restarts": restarts, "was_ready": was_ready})
    reading = read(rule, sample, restarts)
    if reading is None or not _counts(reading, watch):
        return watch, None
    return judge(watch, rule, span, reading, pause)


def _counts(reading: Reading, watch: Watch) -> bool:
    """Whether a reading is believed: probes alone neither refute failed requests nor speak of a rollout."""
    if reading.breached:
        return watch.was_ready or reading.evidence > Evidence.REPLICAS
    return reading.evidence >= watch.evidence


def judge(
    watch: Watch, rule: Rule, span: Span, reading: Reading, pause: timedelta
) -> tuple[Watch, Turn | None]:
    """Take a reading into account that says something of the rule; a late one is left out."""
    if watch.spoke_at is not None and span.end <= watch.spoke_at:
        return watch, None
    watch = watch.model_copy(update={"spoke_at": span.end})
    if reading.breached:
        return _breached(watch, rule, span, reading, pause)
    return _healthy(watch, rule, span, reading)


def _breached(
    watch: Watch, rule: Rule, span: Span, reading: Reading, pause: timedelta
) -> tuple[Watch, Turn | None]:
    if not _goes_on(watch, rule, span):
        watch = watch.model_copy(update={"breached_since": None, "evidence": Evidence.REPLICAS})
    since = watch.breached_since or span.start
    changes = {
        "breached_since": since,
        "breached_until": span.end,
        "healthy_since": None,
        "evidence": max(watch.evidence, reading.evidence),
    }
    watch = watch.model_copy(update=changes)
    if not watch.open and span.end - since >= timedelta(seconds=rule.hold_seconds):
        return _told(watch, reading, span.end), Turn("opened", since, span.end, reading)
    worse = watch.open and reading.badness > watch.worst
    if worse and watch.told_at is not None and span.end - watch.told_at >= pause:
        return _told(watch, reading, span.end), Turn("worsened", since, span.end, reading)
    return watch, None


def _healthy(watch: Watch, rule: Rule, span: Span, reading: Reading) -> tuple[Watch, Turn | None]:
    quiet = Watch(
        seen_until=watch.seen_until,
        spoke_at=watch.spoke_at,
        was_ready=watch.was_ready,
        restarts=watch.restarts,
    )
    if not watch.open:
        return quiet, None
    since = watch.healthy_since or span.start
    if span.end - since < timedelta(seconds=rule.settle_seconds):
        return watch.model_copy(update={"healthy_since": since}), None
    return quiet, Turn("resolved", since, span.end, reading)


def _goes_on(watch: Watch, rule: Rule, span: Span) -> bool:
    """Whether a breach continues the one before; longer silence than the rule's span parts them."""
    if watch.open or watch.breached_until is None:
        return watch.open
    return span.start - watch.breached_until <= timedelta(seconds=rule.hold_seconds)


def _told(watch: Watch, reading: Reading, at: datetime) -> Watch:
    return watch.model_copy(update={"open": True, "worst": reading.badness, "told_at": at})


def _restarts(watch: Watch, rule: Rule, at: datetime, restarts: int) -> list[RestartCount]:
    if not isinstance(rule.when, RestartLoop):
        return []
    return remember_restarts(watch.restarts, at, restarts, rule.when.within_seconds)

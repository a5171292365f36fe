"""What the answers to probes say of a replica, by Kubernetes' rules of startup, readiness and liveness."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ProbeRules:
    """How often to ask, and how many bad answers in a row mean something."""

    startup_period_seconds: float = 0.05
    """A small model is ready within a second: a longer period would be most of the wait."""
    slow_startup_period_seconds: float = 0.5
    """Once a start takes long, asking often gains nothing."""
    quick_startup_seconds: float = 10.0
    startup_seconds: float = 120.0
    """A process that is not ready after this is killed."""
    period_seconds: float = 1.0
    timeout_seconds: float = 1.0
    readiness_failures: int = 2
    liveness_failures: int = 3

    def period(self, health: Health, up_seconds: float) -> float:
        """Seconds from one probe to the next of a process that has been up for `up_seconds`."""
        if health.started:
            return self.period_seconds
        quick = up_seconds < self.quick_startup_seconds
        return self.startup_period_seconds if quick else self.slow_startup_period_seconds


@dataclass(frozen=True, slots=True)
class Health:
    """A process as its probes have shown it."""

    started: bool = False
    """It was ready once; until then only the startup deadline can fail it."""
    ready: bool = False
    not_ready_in_a_row: int = 0
    not_live_in_a_row: int = 0

    def after(self, *, ready: bool, live: bool, rules: ProbeRules) -> Health:
        """The health after one more pair of answers; no answer is a bad one."""
        if not self.started:
            return Health(started=ready, ready=ready)
        misses = 0 if ready else self.not_ready_in_a_row + 1
        return replace(
            self,
            ready=ready or (self.ready and misses < rules.readiness_failures),
            not_ready_in_a_row=misses,
            not_live_in_a_row=0 if live else self.not_live_in_a_row + 1,
        )

    def hopeless(self, up_seconds: float, rules: ProbeRules) -> bool:
        """Whether the process must be killed: it hangs, or its start takes too long."""
        if not self.started:
            return up_seconds > rules.startup_seconds
        return self.not_live_in_a_row >= rules.liveness_failures

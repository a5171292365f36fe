"""How long the router waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """Seconds until a wait ends in an event."""

    weights: float
    """Weights that name a variant which is not ready: `RoutesRejected`."""
    checks: float
    """A ready version whose required checks give no verdict: `RoutesRejected`."""
    apply: float
    """A route that not every gateway answers with: `RoutesDegraded`."""

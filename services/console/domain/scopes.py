"""What a token may say.

A tenant says what it wants and what it alone knows; what the platform found out (`BuildFailed`,
`UsageSampled`) and what the platform asks of itself (`DeploymentRequested`, which names an image to run) no
token can say.
"""

from __future__ import annotations

from enum import StrEnum

from so1s.events import (
    BuildCancelled,
    BuildRequested,
    CheckFinished,
    DeploymentRemovalRequested,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    EndpointRemovalRequested,
    Event,
    ModelUploaded,
    WeightsChanged,
)


class Scope(StrEnum):
    """What a token is for; each one also reads the chains of its account."""

    publish = "publish"
    """Upload models and have them built: a training pipeline's."""
    operate = "operate"
    """Weights, scale, rollbacks and removals: a release pipeline's."""
    check = "check"
    """Verdicts on versions, apart from `publish`, so that no pipeline passes its own model."""
    read = "read"
    """Nothing but reading."""


SAYABLE: dict[Scope, tuple[type[Event], ...]] = {
    Scope.publish: (ModelUploaded, BuildRequested, BuildCancelled),
    Scope.operate: (
        WeightsChanged,
        DeploymentScaleRequested,
        DeploymentRollbackRequested,
        DeploymentRemovalRequested,
        EndpointRemovalRequested,
    ),
    Scope.check: (CheckFinished,),
    Scope.read: (),
}
"""The event types of each scope."""


def sayable(scopes: frozenset[Scope]) -> dict[str, type[Event]]:
    """The event classes that scopes let a token say, by type."""
    return {each.type: each for scope in sorted(scopes) for each in SAYABLE[scope]}

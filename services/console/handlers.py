"""Events in → what becomes of the chains that tenants began."""

from __future__ import annotations

from services.console import chains, standing, versions
from so1s.events import (
    BuildFailed,
    BuildStepFinished,
    CheckFinished,
    DeploymentFailed,
    DeploymentProgressed,
    DeploymentReady,
    DeploymentRemoved,
    DeploymentRequested,
    EndpointRemoved,
    ImageBuilt,
    IncidentOpened,
    IncidentResolved,
    ModelUploaded,
    ReplicasChanged,
    RoutesApplied,
    RoutesDegraded,
    RoutesRejected,
    VariantInUse,
)
from so1s.events.envelope import Received
from so1s.service import Consumer
from so1s.store import Transaction

FOLLOWED = (
    ModelUploaded,
    BuildStepFinished,
    ImageBuilt,
    BuildFailed,
    DeploymentReady,
    DeploymentFailed,
    DeploymentRemoved,
    CheckFinished,
    RoutesApplied,
    RoutesRejected,
    RoutesDegraded,
    VariantInUse,
    EndpointRemoved,
)
"""What tells how far a chain has come, and how it ended."""

NOTED = (DeploymentRequested, DeploymentProgressed, ReplicasChanged, IncidentOpened, IncidentResolved)
"""What tells how an account stands beside that."""

consumer = Consumer("console")


async def follow(batch: list[Received], tx: Transaction) -> None:
    """Keep events for those who wait for them, the names of versions, and how accounts stand."""
    await chains.remember(tx, batch)
    await versions.remember(tx, batch)
    await standing.remember(tx, batch)


async def note(batch: list[Received], tx: Transaction) -> None:
    """Keep how accounts stand."""
    await standing.remember(tx, batch)


for event_class in FOLLOWED:
    consumer.on(event_class, batch=True)(follow)
for event_class in NOTED:
    consumer.on(event_class, batch=True)(note)

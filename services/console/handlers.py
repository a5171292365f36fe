"""Events in → what becomes of the chains that tenants began."""

from __future__ import annotations

from services.console import chains, versions
from so1s.events import (
    BuildFailed,
    BuildStepFinished,
    CheckFinished,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRemoved,
    EndpointRemoved,
    ImageBuilt,
    ModelUploaded,
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

consumer = Consumer("console")


async def follow(batch: list[Received], tx: Transaction) -> None:
    """Keep events for those who wait for them, and the names of versions."""
    await chains.remember(tx, batch)
    await versions.remember(tx, batch)


for event_class in FOLLOWED:
    consumer.on(event_class, batch=True)(follow)

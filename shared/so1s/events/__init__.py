"""The events of So1s: one module a family, one class an event type.

An event is a past-tense fact (`ImageBuilt`) or a request (`DeploymentRequested`). It carries all
that its consumer needs, so that no service asks another one for data.
"""

from so1s.events.build import (
    BuildCancelled,
    BuildFailed,
    BuildRequested,
    BuildStepFinished,
    ImageBuilt,
)
from so1s.events.check import CheckFinished
from so1s.events.deployment import (
    DeploymentFailed,
    DeploymentProgressed,
    DeploymentReady,
    DeploymentRemovalRequested,
    DeploymentRemoved,
    DeploymentRequested,
    DeploymentRetiring,
    DeploymentRollbackRequested,
    DeploymentScaleRequested,
    ReplicasChanged,
    Workload,
)
from so1s.events.event import Event, Topic, Value, catalogue, event_class
from so1s.events.health import GatewaySampled, HealthSampled
from so1s.events.incident import IncidentOpened, IncidentResolved
from so1s.events.model import Artifact, Lineage, ModelUploaded
from so1s.events.route import (
    EndpointRemovalRequested,
    EndpointRemoved,
    RoutesApplied,
    RoutesDegraded,
    RoutesRejected,
    VariantInUse,
    VariantReleased,
    WeightsChanged,
)
from so1s.events.usage import UsageCorrected, UsageSampled
from so1s.events.workload import (
    AlertRule,
    DeployOptions,
    Image,
    ResourceOptions,
    Resources,
    Scaling,
    ScalingOptions,
    Signature,
    Tensor,
)

__all__ = [
    "AlertRule",
    "Artifact",
    "BuildCancelled",
    "BuildFailed",
    "BuildRequested",
    "BuildStepFinished",
    "CheckFinished",
    "DeployOptions",
    "DeploymentFailed",
    "DeploymentProgressed",
    "DeploymentReady",
    "DeploymentRemovalRequested",
    "DeploymentRemoved",
    "DeploymentRequested",
    "DeploymentRetiring",
    "DeploymentRollbackRequested",
    "DeploymentScaleRequested",
    "EndpointRemovalRequested",
    "EndpointRemoved",
    "Event",
    "GatewaySampled",
    "HealthSampled",
    "Image",
    "ImageBuilt",
    "IncidentOpened",
    "IncidentResolved",
    "Lineage",
    "ModelUploaded",
    "ReplicasChanged",
    "ResourceOptions",
    "Resources",
    "RoutesApplied",
    "RoutesDegraded",
    "RoutesRejected",
    "Scaling",
    "ScalingOptions",
    "Signature",
    "Tensor",
    "Topic",
    "UsageCorrected",
    "UsageSampled",
    "Value",
    "VariantInUse",
    "VariantReleased",
    "WeightsChanged",
    "Workload",
    "catalogue",
    "event_class",
]

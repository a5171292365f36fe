"""Deployments: the replicas of one version."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from so1s.events.event import Event, Value
from so1s.events.names import Actor, Labels, Name, Version
from so1s.events.workload import AlertRule, Image, Percent, Resources, Scaling, Strategy, require_gpus

Revision = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]

DeploymentFailure = Literal[
    "invalid",  # the request breaks a rule of the event; the message names the field
    "deadline_exceeded",
    "crash_loop",
    "no_capacity",
    "image",  # cannot be had, is for another platform, or is not signed by whom the deployer trusts
    "refused",  # by the cluster, whose words the message has
    "check_failed",  # a required check did, or gave no verdict in time; the message says which and why
    "superseded",  # by what was requested before it came about, or by a later upload; the message says which
    "stale_revision",  # the deployment has another revision than the one expected
    "unknown",  # no such deployment or revision
]


class Workload(Value):
    """The whole desired state of a deployment."""

    model: Name
    version: Version
    image: Image
    endpoint: Name | None
    """The endpoint that the deployment joins as a variant; null for none."""
    initial_percent: Percent = 0
    requires: list[Name] = []
    strategy: Strategy = "rolling"
    resources: Resources = Resources()
    scaling: Scaling = Scaling()
    user: Actor
    labels: Labels = {}
    alerts: list[AlertRule] = []

    @model_validator(mode="after")
    def _gpus_where_they_are_held(self) -> Self:
        require_gpus(self.scaling, self.resources.gpus)
        return self


class DeploymentRequested(Event, key=("account", "deployment")):
    """Make a deployment be as said; a later request supersedes an earlier one."""

    deployment: Name
    workload: Workload
    expected_revision: Annotated[int, Field(ge=0)] | None = None
    """Refused where the deployment has another one; 0 means that it must be new."""
    uploaded_at: AwareDatetime | None = None
    """When the version was uploaded, where its upload asks for this: refused as `superseded` where a later
    upload of the model did so already. Null where somebody asks, whose wish always counts."""
    requested_by: Actor
    sources: dict[str, str] = {}
    """Which layer each option came from; `so1s explain` shows it."""


class DeploymentRollbackRequested(Event, key=("account", "deployment")):
    """Go back to an earlier revision's workload, as a new revision."""

    deployment: Name
    to_revision: Revision | None = None
    """Where it is absent: the version before the present one, as it was last ready."""
    requested_by: Actor


class DeploymentScaleRequested(Event, key=("account", "deployment")):
    """Use other bounds for the number of replicas; all else stays."""

    deployment: Name
    scaling: Scaling
    requested_by: Actor


class DeploymentRemovalRequested(Event, key=("account", "deployment")):
    """Retire a deployment: its replicas go as soon as no endpoint sends traffic to it.

    The wish stands until then, unless the deployment is requested, scaled or rolled back anew: whoever asked
    for its removal is told so by `DeploymentFailed`, `superseded`.
    """

    deployment: Name
    requested_by: Actor


class DeploymentProgressed(Event, key=("account", "deployment")):
    """A rollout moved on."""

    deployment: Name
    revision: Revision
    ready: Count
    desired: Count
    message: str


class DeploymentReady(Event, key=("account", "deployment")):
    """Enough replicas of a revision answer their probes.

    Where checks are outstanding and an earlier revision serves, it is said twice: first of a candidate, for
    the checks; then, once they passed, of the revision that serves.
    """

    deployment: Name
    revision: Revision
    model: Name
    version: Version
    endpoint: Name | None
    initial_percent: Percent
    requires: list[Name]
    """The required checks that have not passed on this image yet."""
    candidate: bool = False
    """It takes no traffic yet: an earlier revision serves in its place until the required checks passed."""
    service: str
    """Where a mesh finds the replicas: `k8s://HOST:PORT`, or `file:///PATH` of an Envoy endpoint file."""
    url: str
    """Where the deployment answers without an endpoint, for checks."""
    replicas: Count
    user: Actor
    labels: Labels = {}
    alerts: list[AlertRule] = []
    seconds: Annotated[float, Field(ge=0)]
    """From the request to readiness."""


class DeploymentFailed(Event, key=("account", "deployment")):
    """A rollout will not complete; what served before still serves."""

    deployment: Name
    revision: Annotated[int, Field(ge=0)]
    """0 where the request was refused before it became a revision."""
    reason: DeploymentFailure
    message: str
    log_tail: list[str] = []


class ReplicasChanged(Event, key=("account", "deployment")):
    """The number of replicas moved: an autoscaler's doing, a crash or a recovery."""

    deployment: Name
    revision: Revision
    ready: Count
    desired: Count
    restarts: Count
    reason: str
    observed_at: AwareDatetime


class DeploymentRetiring(Event, key=("account", "deployment")):
    """The replicas are to go: release the variant as soon as no traffic depends on it."""

    deployment: Name
    revision: Revision
    endpoint: Name | None


class DeploymentRemoved(Event, key=("account", "deployment")):
    """No replica is left."""

    deployment: Name
    revision: Revision

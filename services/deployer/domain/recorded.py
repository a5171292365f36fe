"""A deployment as it is recorded, and what a request makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.deployer.domain.gate import Gate
from services.deployer.domain.progress import Status
from so1s.events import DeploymentFailed, DeploymentReady, Workload
from so1s.events.envelope import Cause

State = Literal["active", "retiring", "released", "removed"]
"""`retiring` waits for the endpoints, `released` for the replicas' end."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What a deployment is, or was, to be."""

    number: int
    workload: Workload
    cause: Cause


@dataclass(frozen=True, slots=True)
class Recorded:
    """A deployment with its present revision."""

    account: str
    name: str
    revision: int
    state: State
    workload: Workload
    cause: Cause
    """Of the revision."""
    requested_at: float
    """When the revision was requested, in seconds since the epoch."""
    status: Status
    serving: Revision | None
    """The one whose version takes traffic; None where none may yet."""
    service: str
    url: str
    told: int
    """How many movements were told: numbers the next one."""
    failure: DeploymentFailed | None = None
    """What was told of the newest revision that failed."""

    @property
    def key(self) -> str:
        """As events are keyed: `risk/fraud`."""
        return f"{self.account}/{self.name}"

    @property
    def serves_on(self) -> bool:
        """Whether its replicas stay for now; one that retires stays until its endpoints have released it."""
        return self.state in {"active", "retiring"}

    @property
    def newest(self) -> Revision:
        """The present revision."""
        return Revision(self.revision, self.workload, self.cause)

    @property
    def gate(self) -> Gate:
        """Of the present revision."""
        return self.status.gate

    @property
    def kept(self) -> Workload:
        """What it is to be from now on, as far as is known: a version that failed its checks is given up."""
        return self.serving.workload if self.serving and self.status.withdrawn else self.workload

    def is_already(self, workload: Workload) -> bool:
        """Whether it is to be so anyway; what failed its checks may be tried again."""
        return self.state == "active" and self.workload == workload and not self.status.withdrawn

    def is_at(self, revision: int) -> bool:
        """Whether a revision is the present one, and to be so anyway."""
        return revision == self.revision and self.is_already(self.workload)

    def is_continued_by(self, workload: Workload) -> bool:
        """Whether who waits for the present revision gets what it is about from a later one, too."""
        return _essence(self.workload) == _essence(workload)

    def answer(self) -> DeploymentReady | DeploymentFailed | None:
        """What is known of the present revision; None while it rolls out."""
        if self.status.ready_revision == self.revision:
            return self.ready(self.status.updated, self.service, self.url, seconds=0.0)
        return self.failure if self.status.failed_revision == self.revision else None

    def ready(
        self, replicas: int, service: str, url: str, seconds: float, *, candidate: bool = False
    ) -> DeploymentReady:
        """The event that tells of its readiness."""
        workload = self.workload
        return DeploymentReady(
            account=self.account,
            deployment=self.name,
            revision=self.revision,
            model=workload.model,
            version=workload.version,
            endpoint=workload.endpoint,
            initial_percent=workload.initial_percent,
            requires=self.gate.outstanding,
            candidate=candidate,
            service=service,
            url=url,
            replicas=replicas,
            user=workload.user,
            labels=workload.labels,
            alerts=workload.alerts,
            seconds=seconds,
        )


def _essence(workload: Workload) -> tuple[str, str, str | None]:
    """Which version a workload brings, and where to; how many replicas, and of which size, is beside that."""
    return workload.model, workload.version, workload.endpoint


def staleness(recorded: Recorded | None, expected: int | None) -> str | None:
    """Why a request that expects a revision is refused; None where it is not.

    A deployment that was removed counts as none; its revisions go on from where they were, so
    that nothing said of an earlier life is taken for the present one.
    """
    present = 0 if recorded is None or recorded.state == "removed" else recorded.revision
    if expected is None or expected == present:
        return None
    return f"expected_revision: {expected} is not allowed; the deployment has revision {present}"


def lateness(recorded: Recorded, late: Workload) -> str:
    """Why an upload that was built after a later one was deployed is refused."""
    serving = recorded.serving.workload if recorded.serving else None
    now = f"{serving.model}@{serving.version} serves" if serving else "none serves now"
    return f"{late.model}@{late.version} is not deployed, since a later upload of {late.model} was; {now}"


def unreachable(recorded: Recorded, target: int | None) -> str:
    """Why a deployment does not go back to a revision, or to none where nobody named one."""
    if target is None:
        return f"deployment {recorded.name} has no earlier version; to_revision may name a revision of it"
    allowed = f"1 to {recorded.revision - 1}" if recorded.revision > 1 else "none, it has no earlier one"
    return f"to_revision: {target} is not allowed; allowed: {allowed}"


def continuation(wanted: Workload) -> str:
    """Why a removal is given up."""
    return f"the deployment stays, since {wanted.model}@{wanted.version} was requested before it was gone"


def supersession(waited_for: Workload, wanted: Workload | None) -> str:
    """Why a revision is given up before it was ready.

    Args:
        waited_for: what it was to be.
        wanted: what the deployment shall be instead; None where it goes.
    """
    late = f"{waited_for.model}@{waited_for.version}"
    if wanted is None:
        instead = "the removal of the deployment"
    elif late != (other := f"{wanted.model}@{wanted.version}"):
        instead = other
    else:
        instead = f"endpoint {wanted.endpoint}" if wanted.endpoint else "no endpoint"
    return f"{late} is not deployed, since {instead} was requested before it was ready"

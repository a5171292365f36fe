"""What the deployer needs of the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self

from services.deployer.domain.observation import Observation
from so1s.events import Workload
from so1s.events.envelope import Cause


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as it shall be."""

    account: str
    name: str
    revision: int
    workload: Workload
    cause: Cause
    """Why this revision is; its replicas bear it."""
    candidate: Deployment | None = None
    """A later revision to be there beside it, which takes no traffic until it is applied in its place."""
    serving: Deployment | None = field(default=None, compare=False)
    """The earlier revision that takes traffic until this one does; it is no part of what shall be."""


class Cluster(Protocol):
    """Runs deployments: keeps replicas alive, rolls them over, scales them, and restarts what dies.

    The level is that of a Kubernetes Deployment with its probes and autoscaler: what is applied
    once is kept so, without another call. All methods may be called again at any time.

    Entering starts what it takes to know the world; leaving, or dying, leaves every replica alone.
    """

    async def __aenter__(self) -> Self:
        """Find what is there already."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Stop to look after it."""
        ...

    async def apply(self, deployment: Deployment) -> None:
        """Make the deployment be as said, from now on; returns before it is so.

        A workload that differs only in what replicas do not bear (scaling, strategy, what routers
        are told) replaces none of them.

        A rollout to fewer replicas keeps the number until no earlier version serves, as `rollout.size`
        says; where that of what `observe` shows is smaller, this is to be called again.

        A candidate has as many replicas as a rolling update may start at first. No mesh learns of
        them. Where the candidate is applied as the deployment itself, they are taken over or make way
        for such as are; where it is no candidate any more, they end.

        What the cluster refuses is no error here: `observe` shows it as trouble.
        """
        ...

    async def remove(self, account: str, name: str) -> None:
        """Drain and end every replica; returns before they are gone. An unknown name is no error."""
        ...

    async def observe(self) -> list[Observation]:
        """Every deployment of which anything is there, whoever applied it."""
        ...

    async def logs(self, account: str, name: str, lines: int) -> list[str]:
        """The last lines that the deployment's replicas wrote, each after its replica's uid, newest last.

        Replicas that have ended count too, while their logs are kept.
        """
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` soon after anything that `observe` shows has changed."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an image may not run."""

    reason: str
    """A word, for metrics."""
    message: str


class Verifier(Protocol):
    """Knows which images may run."""

    async def refusal(self, deployment: Deployment) -> Refusal | None:
        """Why the image of a deployment, its candidate aside, may not run; None where it may.

        Raises:
            TemporaryError: that cannot be known now.
        """
        ...

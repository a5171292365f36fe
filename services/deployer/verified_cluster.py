"""A cluster that runs only images that may run: each is verified before it is applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Self

import structlog

from services.deployer.domain.observation import Observation, Trouble
from services.deployer.metrics import UNVERIFIED
from services.deployer.ports import Cluster, Deployment, Verifier

log = structlog.get_logger()

Key = tuple[str, str]
"""Account and name."""


class VerifiedCluster:
    """The `Cluster` port on another one.

    A deployment whose image is refused stays as it is; where that is what serves, it is kept so, as long as
    that one may run itself. `observe` shows the refused revision as trouble. It is verified again whenever it
    is applied, so that a signature that comes later lets it through.
    """

    def __init__(self, cluster: Cluster, verifier: Verifier, mode: Literal["warn", "require"]) -> None:
        """Take the parts.

        Args:
            cluster: runs what may run.
            verifier: knows what may.
            mode: `warn` lets everything run, and says what should not.
        """
        self._cluster = cluster
        self._verifier = verifier
        self._mode = mode
        self._refused: dict[Key, tuple[Deployment, str]] = {}
        self._shown: dict[Key, int] = {}
        """The revision that `observe` showed last; 0 where nobody can tell, or where it was a candidate."""
        self._changed: Callable[[], None] = _nobody

    async def __aenter__(self) -> Self:
        """See `ports.Cluster`."""
        self._refused = {}  # what was refused when this process led before may run by now
        await self._cluster.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """See `ports.Cluster`."""
        await self._cluster.__aexit__(*error)

    async def apply(self, deployment: Deployment) -> None:
        """See `ports.Cluster`.

        Raises:
            TemporaryError: what is attached to the image cannot be read now.
        """
        key, candidate = (deployment.account, deployment.name), deployment.candidate
        if reason := await self._refusal(deployment):
            self._refuse(deployment, reason)
            await self._keep(deployment.serving)
        elif candidate and (reason := await self._refusal(candidate)):
            await self._cluster.apply(replace(deployment, candidate=None))
            self._refuse(deployment, reason)
        else:
            await self._cluster.apply(deployment)
            self._refused.pop(key, None)

    async def remove(self, account: str, name: str) -> None:
        """See `ports.Cluster`."""
        self._refused.pop((account, name), None)
        await self._cluster.remove(account, name)

    async def observe(self) -> list[Observation]:
        """See `ports.Cluster`."""
        seen = {(each.account, each.deployment): each for each in await self._cluster.observe()}
        self._shown = {key: 0 if each.candidate else each.revision for key, each in seen.items()}
        for key, (deployment, reason) in self._refused.items():
            seen[key] = _with_trouble(seen.get(key) or _nothing(deployment), deployment, reason)
        return list(seen.values())

    async def logs(self, account: str, name: str, lines: int) -> list[str]:
        """See `ports.Cluster`."""
        return await self._cluster.logs(account, name, lines)

    def watch(self, changed: Callable[[], None]) -> None:
        """See `ports.Cluster`."""
        self._changed = changed
        self._cluster.watch(changed)

    async def _keep(self, serving: Deployment | None) -> None:
        """Apply what serves again, since another hand may have changed it; no rollout is gone back on."""
        if serving is None:
            return
        shown = self._shown.get((serving.account, serving.name), 0)
        if shown in {0, serving.revision} and not await self._refusal(serving):
            await self._cluster.apply(serving)

    async def _refusal(self, deployment: Deployment) -> str | None:
        """Why an image may not run here; where everything may, it is said and counted."""
        refusal = await self._verifier.refusal(deployment)
        if refusal is None:
            return None
        UNVERIFIED.labels(refusal.reason).inc()
        log.warning(
            "an image is not verified",
            account=deployment.account,
            deployment=deployment.name,
            image=deployment.workload.image.reference,
            reason=refusal.message,
            refused=self._mode == "require",
        )
        return refusal.message if self._mode == "require" else None

    def _refuse(self, deployment: Deployment, reason: str) -> None:
        self._refused[deployment.account, deployment.name] = (deployment, reason)
        self._changed()


def _with_trouble(seen: Observation, deployment: Deployment, reason: str) -> Observation:
    """What is there, as seen by who waits for the refused revision; one that runs already runs on."""
    refused = deployment.candidate or deployment
    shown = replace(seen, trouble=Trouble("image", reason))
    if seen.revision == refused.revision:
        return shown
    return replace(shown, revision=refused.revision, candidate=deployment.candidate is not None, updated=0)


def _nothing(deployment: Deployment) -> Observation:
    """A deployment of which nothing is there."""
    return Observation(
        account=deployment.account,
        deployment=deployment.name,
        revision=0,
        candidate=False,
        desired=deployment.workload.scaling.min_replicas,
        updated=0,
        ready=0,
        total=0,
        restarts=0,
        service="",
        url="",
    )


def _nobody() -> None:
    """Until somebody watches."""

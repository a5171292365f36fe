"""Kubernetes as the cluster: server-side apply of what is wanted, watches of what is there.

A deployment is a Deployment of its name in its account's namespace, and what that one owns: a Service,
a PodDisruptionBudget, and where an autoscaler decides on it a HorizontalPodAutoscaler, or what KEDA makes
one of. A candidate is a second Deployment beside it, `NAME--candidate`, with a Service of its own that checks
call.

The number of replicas is applied apart from the rest, by a field manager of its own: with an autoscaler
it is not applied at all, save once where it lies outside of the bounds. A rollout to fewer replicas is
applied with the old number first, and with the new one by a later call, once no old one serves.

What another hand changes in an object, or adds to its spec, is shown as drift, and is taken back where the
deployment is applied again; what it adds to metadata stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import structlog

from services.deployer.adapters.kubernetes import manifests, names
from services.deployer.adapters.kubernetes.accounts import Accounts
from services.deployer.adapters.kubernetes.advice import Advice
from services.deployer.adapters.kubernetes.objects import Objects, Where, replicas
from services.deployer.adapters.kubernetes.observing import Parts, gather, lacks_shared, observe, outdated
from services.deployer.adapters.kubernetes.options import Options
from services.deployer.domain import rollout
from services.deployer.domain.observation import Observation, Trouble
from services.deployer.ports import Deployment
from so1s.errors import TemporaryError
from so1s.kubernetes import Api, Mirror, Refused, connect
from so1s.kubernetes.errors import NotFound
from so1s.kubernetes.paths import path

log = structlog.get_logger()

_VERSIONS = {
    "Deployment": "apps/v1",
    "Pod": "v1",
    "Service": "v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
_KEDA_VERSIONS = {"ScaledObject": "keda.sh/v1alpha1"}
_AUTOSCALERS = {"HorizontalPodAutoscaler", "ScaledObject"}


class ClusterKubernetes:
    """The `Cluster` port on Kubernetes."""

    def __init__(self, options: Options, kubeconfig: Path | None = None) -> None:
        """Take where and how.

        Args:
            options: of all deployments.
            kubeconfig: where the cluster is; None for the one that this pod runs in.
        """
        self._options = options
        self._kubeconfig = kubeconfig
        self._versions = _VERSIONS | (_KEDA_VERSIONS if options.keda else {})
        self._mirrors: dict[str, Mirror] = {}
        self._changed: Callable[[], None] = _nobody
        self._refused: dict[names.Key, tuple[Deployment, str]] = {}
        """What the API did not take, and why."""
        self._applied: dict[names.Key, Deployment] = {}
        self._advice = Advice(options)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Read what is there, and watch it; what was known when this process led before may not be so now."""
        self._refused, self._applied = {}, {}
        async with contextlib.AsyncExitStack() as stack:
            self._api: Api = await stack.enter_async_context(connect(self._kubeconfig))
            for kind, version in self._versions.items():
                mirror = self._api.mirror(version, kind, label_selector=names.MANAGED)
                mirror.on_change(self._notify)
                self._mirrors[kind] = await stack.enter_async_context(mirror)
            self._objects = Objects(self._api, self._mirrors)
            self._accounts = Accounts(self._api, self._options)
            await self._accounts.find()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Watch no longer; every replica stays."""
        await self._stack.aclose()

    async def apply(self, deployment: Deployment) -> None:
        """Make the deployment be as said, from now on.

        Raises:
            TemporaryError: the API does not take it now.
        """
        key = (deployment.account, deployment.name)
        newest = deployment.candidate or deployment
        if self._applied.get(key) != newest:
            self._applied[key] = newest
            self._advice.forget(key)
        try:
            await self._accounts.ensure(deployment.account)
            await self._apply_stable(deployment)
            await self._apply_candidate(deployment)
        except Refused as error:
            log.error("the cluster refuses a deployment", deployment=deployment.name, reason=str(error))  # noqa: TRY400 - the API's words are all there is to it
            self._refused[key] = (deployment, str(error))
            self._changed()
        except NotFound:  # such as a namespace that somebody deleted
            self._accounts.forget(deployment.account)
            raise
        else:
            self._refused.pop(key, None)

    async def remove(self, account: str, name: str) -> None:
        """Let the Deployments go; what they own goes with them."""
        key = (account, name)
        for remembered in (self._refused, self._applied):
            remembered.pop(key, None)
        for candidate in (True, False):
            await self._delete(key, names.object_name(name, candidate=candidate), "Deployment")
        self._objects.forget(key)

    async def observe(self) -> list[Observation]:
        """Every deployment of which anything is there; accounts have what these share, and no others have.

        Raises:
            TemporaryError: the API does not answer, so that nobody knows.
        """
        now = datetime.now(UTC)
        found = self._gather()
        await self._accounts.mend(
            {account for (account, _), parts in found.items() if lacks_shared(parts, self._options)}
        )
        for key in self._refused.keys() | self._objects.keys:
            found.setdefault(key, Parts())
        await self._accounts.keep({account for account, _ in found.keys() | self._applied.keys()})
        seen = [self._with_story(observe(key, parts, self._options, now)) for key, parts in found.items()]
        resources = {key: each.workload.resources for key, each in self._applied.items()}
        return await self._advice.give(self._api, seen, resources)

    async def logs(self, account: str, name: str, lines: int) -> list[str]:
        """The last lines of the replicas that are there; of one that was restarted, the run before too."""
        parts = self._gather().get((account, name), Parts())
        pods = sorted([*parts.pods, *parts.candidate_pods], key=lambda pod: pod.created_at)
        tails = [
            await self._tail(account, pod.name, lines, previous=previous)
            for pod in pods
            for previous in ([True, False] if pod.restarts else [False])
        ]
        return [line for tail in tails for line in tail][-lines:]

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` after anything that `observe` shows has changed."""
        self._changed = changed

    async def _apply_stable(self, deployment: Deployment) -> None:
        key = (deployment.account, deployment.name)
        live = await self._objects.bring(key, manifests.workload(deployment, self._options))
        parts = self._gather().get(key, Parts())
        size = rollout.size(deployment.workload, replicas(live), outdated(live, parts.pods))
        await self._objects.resize(key, live, size, sizes=_sizes(deployment, size))
        beside = manifests.beside(_up_to(deployment, size), self._options, live)
        # One autoscaler must be gone before another one comes: KEDA refuses a second one.
        for kind in (_AUTOSCALERS & self._versions.keys()) - {manifest["kind"] for manifest in beside}:
            await self._delete(key, deployment.name, kind)
        for manifest in beside:
            await self._objects.bring(key, manifest)

    async def _apply_candidate(self, deployment: Deployment) -> None:
        key = (deployment.account, deployment.name)
        if candidate := deployment.candidate:
            live = await self._objects.bring(
                key, manifests.workload(candidate, self._options, candidate=True)
            )
            size = rollout.surge(candidate.workload.scaling.min_replicas)
            await self._objects.resize(key, live, size, sizes=(size, size))
            for manifest in manifests.beside_candidate(candidate, self._options, live):
                await self._objects.bring(key, manifest)
        else:
            name = names.object_name(deployment.name, candidate=True)
            await self._delete(key, name, "Deployment")
            self._objects.forget(key, name)

    async def _delete(self, key: names.Key, name: str, kind: str) -> None:
        where = Where(kind, self._options.namespace(key[0]), name)
        await self._objects.delete(key, where, self._versions[kind])

    async def _tail(self, account: str, pod: str, lines: int, *, previous: bool) -> list[str]:
        where = path("v1", "Pod", self._options.namespace(account), pod) + "/log"
        query = {"container": names.CONTAINER, "tailLines": str(lines), "previous": str(previous).lower()}
        try:
            text = await self._api.text(where, query)
        except (TemporaryError, Refused) as error:  # such as a container that never ran, a node that is gone
            log.debug("a replica's log can't be read", pod=pod, reason=str(error))
            return []
        return [f"{pod} {line}" for line in text.splitlines()]

    def _gather(self) -> dict[names.Key, Parts]:
        return gather(self._mirrors["Deployment"].objects, self._mirrors["Pod"].objects, self._options)

    def _with_story(self, seen: Observation) -> Observation:
        """With what else is known: that it was refused, or what another hand changed."""
        key = (seen.account, seen.deployment)
        if not (refused := self._refused.get(key)):
            return replace(seen, drift=self._objects.drift(key))
        deployment, reason = refused
        applied = deployment.candidate or deployment
        return replace(
            seen,
            revision=applied.revision,
            candidate=deployment.candidate is not None,
            updated=0,
            trouble=Trouble("refused", reason),
        )

    def _notify(self) -> None:
        self._changed()


def _sizes(deployment: Deployment, size: int) -> tuple[int, int]:
    """The bounds of what another hand may make of a size."""
    scaling = deployment.workload.scaling
    if scaling.is_fixed:
        return size, size
    least, most = rollout.bounds(scaling)
    return least, max(most, size)


def _up_to(deployment: Deployment, size: int) -> Deployment:
    """The deployment with bounds that an autoscaler leaves a size alone by which is too large for now."""
    workload = deployment.workload
    if workload.scaling.is_fixed or size <= workload.scaling.max_replicas:
        return deployment
    scaling = workload.scaling.model_copy(update={"max_replicas": size})
    return replace(deployment, workload=workload.model_copy(update={"scaling": scaling}))


def _nobody() -> None:
    """Until somebody watches."""

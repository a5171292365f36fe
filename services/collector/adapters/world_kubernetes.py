"""What runs in a Kubernetes cluster: the pods and Deployments of its deployer, as watches show them.

A pod lives from the moment at which its node took it. It ends as its own status says or, where it says
nothing, when the watch shows that it is gone. Every replica is remembered until a day after its end was
sampled; of one that went while nobody watched, the last moment at which it was known to be there is its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog

from services.collector.adapters.kubernetes import memory, pods
from services.collector.adapters.kubernetes.lives import changes, removal
from services.collector.domain.world import Deployment, Replica, Running
from services.collector.store import sampled_until
from so1s.errors import Unreachable
from so1s.kubernetes import Api, Mirror, labels
from so1s.store import Store

log = structlog.get_logger()

_DAY_MS = 86_400_000
_TAKE_EVERY_SECONDS = 5.0
"""How exactly it is known, after a restart or a silence, until when everything was watched."""
_FIRST_LIST_SECONDS = 30.0

Object = dict[str, Any]
Owner = tuple[str, str, str]
"""Account, deployment and track."""


@dataclass(frozen=True)
class Naming:
    """What this installation's objects are called."""

    namespace_prefix: str
    """An account's namespace is this and its name."""
    gpu_resource: str
    """What a GPU is called among a node's resources."""


class WorldKubernetes:
    """World by watches; `follow` must run beside `read`."""

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Api]],
        store: Store,
        naming: Naming,
        now_ms: Callable[[], int],
    ) -> None:
        self._connect = connect
        self._store = store
        self._naming = naming
        self._now_ms = now_ms
        self._watched = asyncio.Event()
        self._pods: Mirror
        self._deployments: Mirror
        self._known: dict[str, Replica] = {}
        self._gone: dict[str, tuple[Object, int]] = {}
        """Pods whose removal was watched, and when, by uid; until they are remembered."""
        self._watched_until_ms = 0
        self._taking = asyncio.Lock()

    async def follow(self) -> None:
        """Watch until cancelled; what is remembered is read anew, since another replica may have led."""
        async with self._connect() as api:
            self._deployments = api.mirror("apps/v1", "Deployment", label_selector=labels.DEPLOYED)
            self._pods = api.mirror("v1", "Pod", label_selector=labels.DEPLOYED)
            self._pods.on_removed(self._remove)
            async with self._deployments, self._pods:
                await self._recall()
                self._watched.set()
                try:
                    await self._take_again_and_again()
                finally:
                    self._watched.clear()

    async def read(self) -> Running:
        """What runs, and what ran until a day ago.

        Raises:
            Unreachable: the API server does not answer, so that nobody knows.
        """
        await self._wait()
        stories = await self._take()
        restarts = _restarts(self._known.values())
        found = [
            _deployment(owner, body, restarts[owner[:2]])
            for owner, body in stories.items()
            if owner[2] == "stable" and "deletionTimestamp" not in body["metadata"]
        ]
        return Running(dict(self._known), {each.cluster: each for each in found})

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_FIRST_LIST_SECONDS):
                await self._watched.wait()
        except TimeoutError:
            raise Unreachable("the Kubernetes API is not watched yet") from None

    async def _recall(self) -> None:
        self._gone = {}
        async with self._taking, self._store.snapshot() as connection:
            self._known = await memory.all_replicas(connection)
            self._watched_until_ms = await memory.watched_until(connection) or self._now_ms()

    async def _take_again_and_again(self) -> None:
        """However seldom it is read."""
        while True:
            with contextlib.suppress(Unreachable):
                await self._take()
            await asyncio.sleep(_TAKE_EVERY_SECONDS)

    async def _take(self) -> Mapping[Owner, Object]:
        """Take in what the watches show; answers the Deployments.

        Raises:
            Unreachable: a watch is cut off.
        """
        async with self._taking:
            now_ms = self._now_ms()
            bodies = self._deployments.objects.values()
            stories = {owner: body for body in bodies if (owner := self._owner(body))}
            there = [pod for pod in self._pods.objects.values() if self._owner(pod)]
            gone = dict(self._gone)
            seen = dict(self._replicas(there, stories)) | dict(self._removed(gone, stories))
            await self._remember(changes(self._known, seen, self._watched_until_ms), now_ms)
            for uid in gone:
                self._gone.pop(uid, None)
            return stories

    async def _remember(self, changed: Mapping[str, Replica], now_ms: int) -> None:
        async with self._store.transaction() as tx:
            sampled_ms = await sampled_until(tx.connection)
            # What was not sampled yet is not over, for however long that could not be done.
            horizon_ms = min(now_ms, sampled_ms or now_ms) - _DAY_MS
            await memory.remember(tx, changed.values())
            await memory.forget(tx, horizon_ms)
            await memory.watch_until(tx, now_ms)
        known = {**self._known, **changed}
        self._known = {uid: each for uid, each in known.items() if (each.ended_ms or now_ms) >= horizon_ms}
        self._watched_until_ms = now_ms

    def _replicas(
        self, found: Iterable[Object], stories: Mapping[Owner, Object]
    ) -> Iterator[tuple[str, Replica]]:
        for pod in found:
            owner = self._owner(pod)
            story = stories.get(owner, {}).get("metadata", {}).get("annotations", {}) if owner else {}
            if replica := pods.replica(pod, story, self._naming.gpu_resource):
                yield replica.uid, replica

    def _removed(
        self, gone: Mapping[str, tuple[Object, int]], stories: Mapping[Owner, Object]
    ) -> Iterator[tuple[str, Replica]]:
        for uid, replica in self._replicas([body for body, _ in gone.values()], stories):
            body, at_ms = gone[uid]
            yield uid, removal(replica, at_ms, self._watched_until_ms, pods.deadline_ms(body))

    def _owner(self, body: Object) -> Owner | None:
        """Whose an object is; None where it is another installation's, or its labels are gone."""
        meta = body["metadata"]
        borne = meta.get("labels", {})
        try:
            owner = borne[labels.ACCOUNT], borne[labels.DEPLOYMENT], borne[labels.TRACK]
        except KeyError:
            return None
        return owner if meta["namespace"] == f"{self._naming.namespace_prefix}{owner[0]}" else None

    def _remove(self, body: Object) -> None:
        if self._owner(body):
            self._gone[body["metadata"]["uid"]] = (body, self._now_ms())


def _restarts(replicas: Iterable[Replica]) -> Counter[tuple[str, str]]:
    """By account and deployment, with those of replicas that ended since yesterday."""
    counted: Counter[tuple[str, str]] = Counter()
    for replica in replicas:
        counted[replica.account, replica.deployment] += replica.restarts
    return counted


def _deployment(owner: Owner, body: Object, restarts: int) -> Deployment:
    story = body["metadata"].get("annotations", {})
    return Deployment(
        account=owner[0],
        deployment=owner[1],
        model=story.get(labels.MODEL, ""),
        version=story.get(labels.VERSION, ""),
        endpoint=story.get(labels.ENDPOINT) or None,
        desired=body["spec"].get("replicas", 1),
        ready=body.get("status", {}).get("readyReplicas", 0),
        restarts=restarts,
    )

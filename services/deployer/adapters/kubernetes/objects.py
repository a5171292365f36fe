"""A deployment's objects: as watches show them, and as they were left by what was applied."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import structlog

from services.deployer.adapters.kubernetes import names
from services.deployer.adapters.kubernetes.drift import departures
from services.deployer.adapters.kubernetes.manifests import Manifest, size
from so1s.errors import TemporaryError
from so1s.kubernetes import Api, Mirror
from so1s.kubernetes.errors import Conflict

log = structlog.get_logger()

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

_ATTEMPTS = 5
"""To write what nobody changes in the middle of it, such as a controller by a status."""
_DELETED = "deleted"
_REPLICAS = ".spec.replicas"


class Where(NamedTuple):
    """What tells an object from all others."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an object shall say, from when it was applied on."""

    manifest: Manifest
    departed: Mapping[str, Any]
    """Where the cluster did not take it as it is, as by a webhook, and what is there: to apply it again is
    of no use."""
    sizes: tuple[int, int] | None = None
    """The least and the most replicas, of a Deployment."""
    same: Object | None = None
    """The object that was compared last, and found as it shall be."""


class Objects:
    """Brings objects to their manifests, and sees where another hand changes them later."""

    def __init__(self, api: Api, mirrors: Mapping[str, Mirror]) -> None:
        """Read and write.

        Args:
            api: the API server.
            mirrors: of the objects of each kind.
        """
        self._api = api
        self._mirrors = mirrors
        self._kept: dict[names.Key, dict[Where, _Kept]] = {}

    def live(self, where: Where) -> Object | None:
        """An object as it is.

        Raises:
            Unreachable: a watch is cut off, so that nobody knows.
        """
        return self._mirrors[where.kind].objects.get((where.namespace, where.name))

    @property
    def keys(self) -> set[names.Key]:
        """The deployments of which anything was applied."""
        return set(self._kept)

    async def bring(self, key: names.Key, manifest: Manifest) -> Object:
        """Apply a manifest where the object is not as it says.

        Returns:
            The object as it is then.

        Raises:
            Refused: it will not be taken as it is.
            TemporaryError: it is not taken now.
        """
        meta = manifest["metadata"]
        where = Where(manifest["kind"], meta["namespace"], meta["name"])
        live, kept = self.live(where), self._kept.setdefault(key, {}).get(where)
        known = kept if kept and kept.manifest == manifest else None
        if live and known and live is known.same:
            return live
        tolerated = known.departed if known else {}
        departed = departures(manifest, live) if live else {}
        fields = _beyond(tolerated, departed)
        if live is None or _is_going(live) or fields:
            if fields:
                log.info("an object is brought to what is wanted", **_story(key, where, fields))
            live = await self._write(manifest)
            departed = departures(manifest, live)
            if _beyond(tolerated, departed):
                said = _story(key, where, departed)
                log.warning("the cluster does not take an object as it is applied", **said)
        sizes = kept.sizes if kept else None
        self._kept[key][where] = _Kept(manifest, departed, sizes, live)
        return live

    async def resize(self, key: names.Key, live: Object, wanted: int, *, sizes: tuple[int, int]) -> None:
        """Give a Deployment, as `bring` left it, a number of replicas, and bounds for those who change it."""
        where = Where("Deployment", live["metadata"]["namespace"], live["metadata"]["name"])
        kept = replace(self._kept[key][where], sizes=sizes)
        if wanted != replicas(live):
            live = await self._api.apply(size(live, wanted), manager=names.SIZE_MANAGER)
            self._mirrors[where.kind].take(live)
            kept = replace(kept, same=None)
        self._kept[key][where] = kept

    async def delete(self, key: names.Key, where: Where, api_version: str) -> None:
        """Remove an object; one that is not there is no error."""
        self._kept.get(key, {}).pop(where, None)
        if self.live(where):
            await self._api.delete(api_version, *where)

    def forget(self, key: names.Key, name: str | None = None) -> None:
        """Keep the objects of a deployment no longer, or those of one name."""
        kept = self._kept.get(key, {})
        self._kept[key] = {where: each for where, each in kept.items() if name not in {None, where.name}}
        if not self._kept[key]:
            del self._kept[key]

    def drift(self, key: names.Key) -> dict[str, list[str]]:
        """What another hand changed since it was applied: fields by the kind of their object."""
        found: dict[str, list[str]] = {}
        for where, kept in list(self._kept.get(key, {}).items()):
            if fields := self._drift(key, where, kept):
                found.setdefault(where.kind, []).extend(fields)
        return found

    def _drift(self, key: names.Key, where: Where, kept: _Kept) -> list[str]:
        live = self.live(where)
        if live is None:
            return [_DELETED]
        if live is kept.same or _is_going(live):  # what is about to go can only be made again afterwards
            return []
        fields = _beyond(kept.departed, departures(kept.manifest, live))
        if kept.sizes and not kept.sizes[0] <= replicas(live) <= kept.sizes[1]:
            fields.append(_REPLICAS)
        if not fields:
            self._kept[key][where] = replace(kept, same=live)
        return fields

    async def _write(self, manifest: Manifest) -> Object:
        for _ in range(_ATTEMPTS):
            found = await self._api.apply(manifest, manager=names.MANAGER)
            # Server-side apply leaves the fields that another manager added.
            with contextlib.suppress(Conflict):
                if departures(manifest, found):
                    found = await self._api.replace(_wholly(manifest, found), manager=names.MANAGER)
                self._mirrors[manifest["kind"]].take(found)
                return found
        raise TemporaryError(f"{manifest['kind']} {manifest['metadata']['name']} changes all the time")


def replicas(live: Mapping[str, Any]) -> int:
    """How many replicas a Deployment shall have."""
    return live["spec"].get("replicas", 1)


def _beyond(tolerated: Mapping[str, Any], departed: Mapping[str, Any]) -> list[str]:
    """The paths at which there is something else than what is tolerated there."""
    return [each for each, there in departed.items() if each not in tolerated or tolerated[each] != there]


def _is_going(live: Object) -> bool:
    return "deletionTimestamp" in live["metadata"]


def _wholly(manifest: Manifest, found: Object) -> Object:
    """An object with its manifest's spec alone, save what is others' by right."""
    spec = manifest["spec"]
    if manifest["kind"] == "Deployment":
        template = spec["template"] | {"metadata": found["spec"]["template"]["metadata"]}
        spec = spec | {"template": template, "replicas": replicas(found)}
    return {**found, "spec": spec}


def _story(key: names.Key, where: Where, fields: Iterable[str]) -> dict[str, Any]:
    account, deployment = key
    return {"account": account, "deployment": deployment, "kind": where.kind, "fields": sorted(fields)}

"""Kubernetes objects of one owner: written by server-side apply, undone where another hand edited them.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, ApiException, CustomObjectsApi

from services.router.adapters.istio.refusal import RefusedError, reason_of
from so1s.errors import Unreachable

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

FIELD_MANAGER = "so1s-router"
_APPLY = "application/apply-patch+yaml"
_TIMEOUT_SECONDS = 10.0
"""An API server gives a validating webhook as long at most before it says no."""


@dataclass(frozen=True)
class Kind:
    """A resource of the API."""

    group: str
    version: str
    name: str
    plural: str

    @property
    def api_version(self) -> str:
        """As objects say it."""
        return f"{self.group}/{self.version}"


@dataclass(frozen=True)
class Key:
    """What tells an object from all others."""

    kind: Kind
    namespace: str
    name: str


def key_of(kind: Kind, found: Object) -> Key:
    """The key of an object that the API returned."""
    return Key(kind, found["metadata"]["namespace"], found["metadata"]["name"])


def is_as_told(found: Object | None, wanted: Object) -> bool:
    """Whether an object says what it shall, and nothing else."""
    return (
        found is not None
        and found.get("spec") == wanted["spec"]
        and found["metadata"].get("labels", {}).items() >= wanted["metadata"]["labels"].items()
    )


class Objects:
    """Writes objects."""

    def __init__(self, client: ApiClient) -> None:
        self._api = CustomObjectsApi(client)

    async def put(self, key: Key, wanted: Object, seen: Object | None) -> Object | None:
        """Make an object be as told.

        Args:
            key: of the object.
            wanted: what it shall say; what another hand added to its `spec` goes.
            seen: as it was when it was decided to write; the write takes effect on that state alone.

        Returns:
            The object as it is now; None where it was not any more as seen.

        Raises:
            RefusedError: it will not be taken as it is: the schema, a webhook or a missing permission.
            Unreachable: nothing is taken now.
        """
        try:
            applied = await self._apply(key, wanted, seen)
            if is_as_told(applied, wanted):
                return applied
            return await self._replace(key, {**applied, "spec": wanted["spec"]})
        except ApiException as error:
            if error.status == HTTPStatus.CONFLICT or (seen and error.status == HTTPStatus.NOT_FOUND):
                return None
            raise

    async def delete(self, key: Key) -> None:
        """Remove an object; one that is gone already is no error.

        Raises:
            RefusedError: a permission is missing.
            Unreachable: nothing is taken now.
        """
        try:
            await _answered(self._api.delete_namespaced_custom_object(*_path(key), _request_timeout=_TIMEOUT_SECONDS))
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

"""Objects of the cluster, made of their manifests."""

from __future__ import annotations

import asyncio
from typing import Any

from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.utils import create_from_dict

from so1s.kubernetes import Api

Manifest = dict[str, Any]

_CONDITION_SECONDS = 60.0


async def create(api: ApiClient, *manifests: Manifest) -> None:
    """Create objects of Kubernetes' own kinds at once; none may need another one.

    Raises:
        FailToCreateError: the API server refuses one.
    """
    await asyncio.gather(*(create_from_dict(api, each) for each in manifests))


def namespace(name: str) -> Manifest:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def until_it_is(condition: str, api: Api, api_version: str, kind: str, name: str) -> None:
    """Wait until an object of no namespace says a condition of itself, such as `Established`.

    Raises:
        TimeoutError: it does not within a minute.
    """
    async with asyncio.timeout(_CONDITION_SECONDS):
        while not _says(condition, await api.get(api_version, kind, None, name) or {}):  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.05)


def _says(condition: str, found: Manifest) -> bool:
    conditions = found.get("status", {}).get("conditions") or []
    return any(each["type"] == condition and each["status"] == "True" for each in conditions)

"""Objects of the cluster, made of their manifests."""

from __future__ import annotations

import asyncio
from typing import Any

from kubernetes_asyncio.client import ApiClient
from kubernetes_asyncio.utils import create_from_dict

Manifest = dict[str, Any]


async def create(api: ApiClient, *manifests: Manifest) -> None:
    """Create objects of Kubernetes' own kinds at once; none may need another one.

    Raises:
        FailToCreateError: the API server refuses one.
    """
    await asyncio.gather(*(create_from_dict(api, each) for each in manifests))


def namespace(name: str) -> Manifest:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

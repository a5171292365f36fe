"""What a deployment's objects are called, and the labels and annotations that they bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MANAGER = "so1s-deployer"
"""The field manager, and the value of `app.kubernetes.io/managed-by`."""
MANAGED = f"app.kubernetes.io/managed-by={MANAGER}"
"""Selects the objects that are ours."""

ACCOUNT = "so1s.io/account"
DEPLOYMENT = "so1s.io/deployment"
TRACK = "so1s.io/track"
"""`stable` takes traffic, `candidate` does not."""
TEMPLATE = "so1s.io/template"
"""A digest of all that needs another pod where it changes."""
REVISION = "so1s.io/revision"

SERVER_ACCOUNT = "so1s-server"
"""The service account of replicas; it has no rights and no token."""
CONTAINER = "server"
PORT = 8080

Key = tuple[str, str]
"""Account and deployment."""


def object_name(deployment: str, *, candidate: bool = False) -> str:
    """The name of a deployment's objects; no deployment's own name has `--` in it."""
    return f"{deployment}--candidate" if candidate else deployment


def key_of(body: Mapping[str, Any]) -> Key | None:
    """The deployment that an object belongs to, by its labels; None where they are gone."""
    labels = body["metadata"].get("labels", {})
    try:
        return labels[ACCOUNT], labels[DEPLOYMENT]
    except KeyError:
        return None


def is_candidate(body: Mapping[str, Any]) -> bool:
    """Whether an object is of a deployment's candidate."""
    return body["metadata"]["labels"].get(TRACK) == "candidate"

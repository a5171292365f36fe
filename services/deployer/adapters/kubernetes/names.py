"""What a deployment's objects are called, and the labels and annotations that they bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so1s.kubernetes import labels

MANAGER = "so1s-deployer"
"""The field manager, and the value of `app.kubernetes.io/managed-by`."""
SIZE_MANAGER = f"{MANAGER}-size"
"""The field manager of the number of replicas."""
MANAGED = labels.DEPLOYED
"""Selects the objects that are ours."""

ACCOUNT = labels.ACCOUNT
DEPLOYMENT = labels.DEPLOYMENT
TRACK = labels.TRACK
TEMPLATE = "so1s.io/template"
"""A digest of all that needs another pod where it changes."""

SERVER_ACCOUNT = "so1s-server"
"""The service account of replicas; it has no rights and no token."""
PULL_SECRET = "so1s-pull"  # noqa: S105 - a name
"""The copy, in an account's namespace, of the Secret by which nodes pull images."""
CONTAINER = labels.SERVER
PORT = 8080

Key = tuple[str, str]
"""Account and deployment."""


def object_name(deployment: str, *, candidate: bool = False) -> str:
    """The name of a deployment's objects; no deployment's own name has `--` in it."""
    return f"{deployment}--candidate" if candidate else deployment


def key_of(body: Mapping[str, Any]) -> Key | None:
    """The deployment that an object belongs to, by its labels; None where they are gone."""
    borne = body["metadata"].get("labels", {})
    try:
        return borne[ACCOUNT], borne[DEPLOYMENT]
    except KeyError:
        return None


def is_candidate(body: Mapping[str, Any]) -> bool:
    """Whether an object is of a deployment's candidate."""
    return body["metadata"]["labels"].get(TRACK) == "candidate"

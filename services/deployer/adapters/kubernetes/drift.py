"""Whether an object in the cluster is as it was said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.deployer.adapters.kubernetes import names

_OWNERS = ".metadata.ownerReferences"
"""A list that others add to."""
_OTHERS = {".spec.replicas", ".spec.template.metadata"}
"""Where others add to a spec by right: autoscalers, and who restarts a rollout by an annotation."""
_FILLED_IN = {"ScaledObject"}
"""Kinds in whose spec an operator writes its defaults."""
_OURS = {names.MANAGER, names.SIZE_MANAGER}


def departures(said: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """The paths at which an object is not as said, or another hand added to its spec."""
    added = [] if said["kind"] in _FILLED_IN else _additions(said, live)
    return [*differences(said, live), *added]


def differences(said: Any, live: Any, at: str = "") -> list[str]:
    """The paths of the fields that are not as said; what was not said may be anything.

    A list is compared element by element: the manifests hold none that others add to, but that of owners.
    """
    if isinstance(said, Mapping):
        if not isinstance(live, Mapping):
            return [at]
        return [path for name in said for path in differences(said[name], live.get(name), f"{at}.{name}")]
    if isinstance(said, Sequence) and not isinstance(said, str):
        if not isinstance(live, Sequence) or (at != _OWNERS and len(said) != len(live)):
            return [at]
        if at == _OWNERS:
            return [] if all(any(not differences(one, each) for each in live) for one in said) else [at]
        pairs = enumerate(zip(said, live, strict=True))
        return [path for index, (one, other) in pairs for path in differences(one, other, f"{at}[{index}]")]
    return [] if said == live else [at]


def _additions(said: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[str]:
    """The paths in the spec that others than the deployer set, and that were not said.

    What the API server fills in belongs to who wrote the object, so that it counts as no addition.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
    """
    for entry in live["metadata"].get("managedFields", []):
        is_ours = entry["operation"] == "Apply" and entry["manager"] in _OURS
        if not is_ours and "subresource" not in entry:
            yield from _unsaid(entry.get("fieldsV1", {}).get("f:spec", {}), said["spec"], ".spec")


def _unsaid(fields: Mapping[str, Any], said: Any, at: str) -> Iterator[str]:
    """The paths of a set of fields, in the form of `fieldsV1`, that are not in what was said."""
    for name, below in fields.items():
        kind, _, key = name.partition(":")
        if kind == "f":
            where = f"{at}.{key}"
            found = said.get(key) if isinstance(said, Mapping) else None
        elif kind == "k":
            where = f"{at}[{key}]"
            found = next((each for each in said if json.loads(key).items() <= each.items()), None)
        else:
            continue
        if where in _OTHERS:
            continue
        if found is None:
            yield where
        else:
            yield from _unsaid(below, found, where)

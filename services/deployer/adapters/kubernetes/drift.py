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


def departures(said: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The paths at which an object is not as said, or another hand added to its spec, and what is there."""
    added = () if said["kind"] in _FILLED_IN else _additions(said, live)
    return {**differences(said, live), **dict(added)}


def differences(said: Any, live: Any) -> dict[str, Any]:
    """The paths of the fields that are not as said, and what is there; what was not said may be anything.

    A list is compared element by element: the manifests hold none that others add to, but that of owners.
    """
    return dict(_different(said, live, ""))


def _different(said: Any, live: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(said, Mapping) and isinstance(live, Mapping):
        for name in said:
            yield from _different(said[name], live.get(name), f"{at}.{name}")
    elif at == _OWNERS and isinstance(live, Sequence):
        if not all(any(not differences(one, each) for each in live) for one in said):
            yield at, live
    elif _is_list(said) and _is_list(live) and len(said) == len(live):
        for index, (one, other) in enumerate(zip(said, live, strict=True)):
            yield from _different(one, other, f"{at}[{index}]")
    elif said != live:
        yield at, live


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _additions(said: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The paths in the spec that others than the deployer set, and that were not said.

    What the API server fills in belongs to who wrote the object, so that it counts as no addition: to the
    deployer by an apply, or by the update that follows one.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
    """
    for entry in live["metadata"].get("managedFields", []):
        if entry["manager"] not in _OURS and "subresource" not in entry:
            fields = entry.get("fieldsV1", {}).get("f:spec", {})
            yield from _unsaid(fields, said["spec"], live["spec"], ".spec")


def _unsaid(fields: Mapping[str, Any], said: Any, live: Any, at: str) -> Iterator[tuple[str, Any]]:
    """The paths of a set of fields, in the form of `fieldsV1`, that are not in what was said."""
    for name, below in fields.items():
        kind, _, key = name.partition(":")
        if kind not in {"f", "k"}:
            continue
        where = f"{at}.{key}" if kind == "f" else f"{at}[{key}]"
        if where in _OTHERS:
            continue
        found, there = _below(said, kind, key), _below(live, kind, key)
        if found is None:
            yield where, there
        else:
            yield from _unsaid(below, found, there, where)


def _below(value: Any, kind: str, key: str) -> Any:
    """A field of an object, or the element of a list that a key tells; None where there is none."""
    if kind == "f":
        return value.get(key) if isinstance(value, Mapping) else None
    elements = value if _is_list(value) else ()
    return next((each for each in elements if json.loads(key).items() <= each.items()), None)

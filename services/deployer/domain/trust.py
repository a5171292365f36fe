"""Whether an image that somebody signed is the one that a deployment is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so1s.supply_chain.formats import MODEL_BUILD


def mismatch(said: Mapping[str, str], provenance: Mapping[str, Any] | None) -> str | None:
    """Why an image is another one than is said, by its provenance; None where it is, or nothing is known.

    A signature alone says that an image is ours, not whose: provenance of a builder of So1s does, so that no
    event can pass off one account's image as another's. An image that was signed by hand has none.

    Args:
        said: `account`, `model` and `version` of the deployment.
        provenance: the SLSA predicate that the same key signed.
    """
    definition = (provenance or {}).get("buildDefinition") or {}
    if definition.get("buildType") != MODEL_BUILD:
        return None
    built = definition.get("externalParameters") or {}
    if all(built.get(name) == value for name, value in said.items()):
        return None
    return f"the image is of {_name(built)}, as its provenance says, and not of {_name(said)}"


def _name(said: Mapping[str, Any]) -> str:
    return f"{said.get('account')}/{said.get('model')}@{said.get('version')}"

"""Whether an object in the cluster is as it was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def differences(said: Any, live: Any, at: str = "") -> list[str]:
    """The paths of the fields that are not as said; what was not said may be anything.

    A list is compared element by element: the manifests hold no list that others add to.
    """
    if isinstance(said, Mapping):
        if not isinstance(live, Mapping):
            return [at]
        return [path for name in said for path in differences(said[name], live.get(name), f"{at}.{name}")]
    if isinstance(said, Sequence) and not isinstance(said, str):
        if not isinstance(live, Sequence) or len(said) != len(live):
            return [at]
        pairs = enumerate(zip(said, live, strict=True))
        return [path for index, (one, other) in pairs for path in differences(one, other, f"{at}[{index}]")]
    return [] if said == live else [at]

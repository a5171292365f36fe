"""Where the API serves a kind of object."""

from __future__ import annotations

import re

_ENDINGS = ((r"(s|x|ch|sh)$", r"\1es"), (r"([^aeiou])y$", r"\1ies"), (r"$", "s"))
_UNCOUNTED = {"endpoints"}


def plural(kind: str) -> str:
    """A kind's name in a path, by the rules of English that the API's own names follow."""
    word = kind.lower()
    if word in _UNCOUNTED:
        return word
    return next(re.sub(pattern, ending, word) for pattern, ending in _ENDINGS if re.search(pattern, word))


def path(api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """The path of an object, or of all objects of the kind where it has no name.

    Args:
        api_version: such as `v1` or `apps/v1`.
        kind: such as `Deployment`.
        namespace: None for what lies in no namespace, or for those of all.
        name: of the object.
    """
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{within}/{plural(kind)}" + (f"/{name}" if name else "")

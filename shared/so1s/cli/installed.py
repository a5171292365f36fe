"""What is installed beside this command: the packages that a model's code imports, and their versions."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

from packaging.version import InvalidVersion, Version


def requirements(imported: Iterable[str]) -> dict[str, str]:
    """Such as `{"sklearn": "scikit-learn==1.7.2"}`, of the modules that are installed here from an index.

    A module that is not, or that several packages share, is left out.
    """
    found = packages_distributions()
    named = {module: set(found.get(module, ())) for module in imported}
    pinned = {module: _pinned(*names) for module, names in named.items() if len(names) == 1}
    return {module: said for module, said in pinned.items() if said}


def _pinned(name: str) -> str:
    """A package at its version here, without what tells of a build of its own (`2.15.0+cpu`); else empty.

    What came from a directory, a file or a URL has `direct_url.json` (PEP 610): an index may not have it.
    """
    try:
        found = distribution(name)
        return "" if found.read_text("direct_url.json") else f"{name}=={Version(found.version).public}"
    except (PackageNotFoundError, InvalidVersion):
        return ""

"""Models that another release of their library saved than serves them."""

from __future__ import annotations

from services.builder.domain.lock import Lock


def warnings_of(saved_by: str | None, lock: Lock) -> list[str]:
    """What whoever looks at an image of a scikit-learn model should know.

    Args:
        saved_by: the version of scikit-learn that saved the model; None where it is not known.
        lock: the libraries that serve it.
    """
    served_by = next((version for name, version in lock.hashes if name == "scikit-learn"), None)
    if not saved_by or not served_by or _release(saved_by) == _release(served_by):
        return []
    said = (
        f"scikit-learn {saved_by} saved the model and {served_by} serves it, which may answer otherwise: "
        f"save it with {served_by}, or hold its answers against yours"
    )
    return [said]


def _release(version: str) -> list[str]:
    """Releases of one minor version read each other's models."""
    return version.split(".")[:2]

"""A version's name stands for the same bytes for ever."""

from __future__ import annotations

from dataclasses import dataclass

from so1s.events import Artifact

_HINT = "publish other bytes as another version"


@dataclass(frozen=True, slots=True)
class Bound:
    """The bytes that a version's name stands for, as far as they are known."""

    uri: str
    sha256: str | None


def conflict(bound: Bound, artifact: Artifact) -> str | None:
    """What is wrong with an upload of `artifact` under a name that is bound already; None if nothing is.

    Checksums decide where both are known, and else the URIs do.
    """
    if bound.sha256 and artifact.sha256:
        if bound.sha256 == artifact.sha256:
            return None
        return f"exists with sha256 {bound.sha256}, not {artifact.sha256}; {_HINT}"
    if bound.uri == artifact.uri:
        return None
    return f"exists from {bound.uri}, not {artifact.uri}; {_HINT}, or give artifact.sha256"

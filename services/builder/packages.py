"""Finds out which libraries were installed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import Distribution, distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from services.builder.domain.lock import Lock, normalised
from services.builder.domain.made import Package
from services.builder.stop import Stop

_RUNTIME = "so1s-runtime"
_LICENSES = ("License-Expression", "License")
_LONGEST_LICENSE = 100
"""Characters: some packages say the whole text of a licence where others say its name."""


def installed(_stop: Stop, site_packages: Path, lock: Lock) -> tuple[Package, ...]:
    """The libraries of a directory, sorted by name, with the hashes that their lock allows.

    What a lock gave stays as it is, so that the same directory and lock are read once.
    """
    return _read(site_packages, lock)


@lru_cache(maxsize=64)
def _read(site_packages: Path, lock: Lock) -> tuple[Package, ...]:
    allowed, origins = lock.hashes, {(each.name, each.version): each for each in lock.origins}
    found = {_pin(each): each for each in distributions(path=[str(site_packages)])}
    return tuple(
        Package(*pin, allowed.get(pin, ()), _license(each), origins.get(pin))
        for pin, each in sorted(found.items())
    )


def runtime_version() -> str:
    """Of the inference server that goes into images."""
    return version(_RUNTIME)


def runtime_needs(extras: Iterable[str]) -> tuple[str, ...]:
    """The packages that the inference server with these extras needs, with their versions."""
    said = [Requirement(each) for each in requires(_RUNTIME) or []]
    return tuple(
        f"{each.name}{each.specifier}"
        for each in said
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    )


def _pin(distribution: Distribution) -> tuple[str, str]:
    return normalised(distribution.metadata["Name"]), distribution.version


def _license(distribution: Distribution) -> str | None:
    said = (distribution.metadata[name] for name in _LICENSES if name in distribution.metadata)
    line = next(said, "").strip()
    return line if line and "\n" not in line and len(line) <= _LONGEST_LICENSE else None

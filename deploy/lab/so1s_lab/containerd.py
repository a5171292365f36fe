"""A containerd and a runc that give pods user namespaces, which Debian's do not: built from their modules."""

from __future__ import annotations

from so1s_lab import CHECKOUT
from so1s_lab.go import GoModule, GoProgram

_PINS = GoModule(CHECKOUT / "deploy" / "lab" / "go" / "containerd")
_MODULE = "github.com/containerd/containerd/v2"
_NEEDS_C = ("no_btrfs", "no_devmapper", "no_zfs")

PROGRAMS = (
    *(
        GoProgram(f"{_MODULE}/cmd/{name}", module=_MODULE, pins=_PINS, tags=_NEEDS_C)
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    ),
    GoProgram(
        "github.com/opencontainers/runc",
        module="github.com/opencontainers/runc",
        pins=_PINS,
        tags=("seccomp",),
        cgo=True,
    ),
)
HEADERS = ("gcc", "libc6-dev", "libseccomp-dev", "pkgconf")
"""Debian's packages that runc is built with."""

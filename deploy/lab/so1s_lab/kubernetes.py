"""Kubernetes' own programs: built from one module, with the version that a release writes into them."""

from __future__ import annotations

from so1s_lab.go import CONTROL_PLANE, GoProgram

_MODULE = "k8s.io/kubernetes"

VERSION = CONTROL_PLANE.version(_MODULE)
_MAJOR, _MINOR, _ = VERSION.removeprefix("v").split(".")


def kubernetes_program(name: str) -> GoProgram:
    """`kube-apiserver` and its kin."""
    prefix = "k8s.io/component-base/version"
    return GoProgram(
        f"{_MODULE}/cmd/{name}",
        module=_MODULE,
        variables=(
            (f"{prefix}.gitVersion", VERSION),
            (f"{prefix}.gitMajor", _MAJOR),
            (f"{prefix}.gitMinor", _MINOR),
        ),
    )

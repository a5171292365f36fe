"""KEDA's kinds of objects, as the API server checks them; KEDA itself does not run."""

from __future__ import annotations

import yaml

from so1s_lab import CHECKOUT
from so1s_lab.go import GoModule
from so1s_lab.manifests import Manifest

_PINS = GoModule(CHECKOUT / "deploy" / "lab" / "go" / "keda")
_MODULE = "github.com/kedacore/keda/v2"


def scaled_objects() -> Manifest:
    """The CustomResourceDefinition of ScaledObjects.

    Raises:
        MissingPartError: there is no Go, or it cannot download the module.
    """
    path = _PINS.file(_MODULE, "config/crd/bases/keda.sh_scaledobjects.yaml")
    return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)

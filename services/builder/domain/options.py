"""Which of the layers that may say an option wins: the event, then `so1s.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from so1s.events import AlertRule, DeployOptions, ModelUploaded
from so1s.events.model import Format, Optimization
from so1s.modelfile import FILE_NAME, ModelFile

EVENT = "event"

_CPU_ALONE: tuple[Format, ...] = ("skops", "lightgbm", "keras", "tensorflow")
"""The formats whose shipped libraries know no GPU."""


@dataclass(frozen=True, slots=True)
class Options:
    """What shall become of the image, and which layer said so."""

    deploy: DeployOptions | None
    alerts: list[AlertRule] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    """Dotted option to layer: `resources.memory_mib: so1s.yaml`."""


def merge(uploaded: ModelUploaded, file: ModelFile | None) -> Options:
    """Lay the event's options over those of the file.

    Options are merged one by one, lists are replaced as a whole. `"deploy": null` in the event deploys
    nothing, whatever the file says.
    """
    alerts, alerts_source = _alerts(uploaded, file)
    built = alerts_source | optimization(uploaded, file)[1]
    if uploaded.deploy is None:
        return Options(None, alerts, built)
    below = _said(file.deploy) if file else {}
    above = _said(uploaded.deploy)
    sources = dict.fromkeys(below, FILE_NAME) | dict.fromkeys(above, EVENT)
    deploy = DeployOptions.model_validate(_nested(below | above))
    return Options(deploy, alerts, dict(sorted(sources.items())) | built)


def optimization(
    uploaded: ModelUploaded, file: ModelFile | None
) -> tuple[Optimization | None, dict[str, str]]:
    """What the model is compiled to, and which layer said so."""
    if uploaded.optimize:
        return uploaded.optimize, {"optimize": EVENT}
    if file and file.optimize:
        return file.optimize, {"optimize": FILE_NAME}
    return None, {}


def gpus(uploaded: ModelUploaded, file: ModelFile | None) -> int:
    """How many GPUs a replica will reserve, as far as it is said; also where nothing is deployed yet."""
    layers = (uploaded.deploy, file.deploy if file else None)
    said = (layer.resources.gpus for layer in layers if layer)
    return next((number for number in said if number is not None), 0)


def idle_gpus(served: Format, reserved: int) -> list[str]:
    """A warning where a replica reserves GPUs that its library does not use."""
    if reserved == 0 or served not in _CPU_ALONE:
        return []
    return [f"resources.gpus reserves {reserved} for each replica, and {served} runs on the CPU alone"]


def _alerts(uploaded: ModelUploaded, file: ModelFile | None) -> tuple[list[AlertRule], dict[str, str]]:
    if uploaded.alerts is not None:
        return uploaded.alerts, {"alerts": EVENT}
    if file and file.alerts:
        return file.alerts, {"alerts": FILE_NAME}
    return [], {}


def _said(options: DeployOptions) -> dict[str, Any]:
    """Dotted name to value of each option that is said."""
    flat: dict[str, Any] = {}
    for name, value in options.model_dump(exclude_none=True).items():
        flat |= (
            {f"{name}.{inner}": each for inner, each in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return flat


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        group, dot, inner = name.partition(".")
        if dot:
            nested.setdefault(group, {})[inner] = value
        else:
            nested[name] = value
    return nested

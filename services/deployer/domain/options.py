"""What an upload deploys: what its event says, else its `so1s.yaml`, else the account's defaults."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from so1s.events import DeploymentRequested, DeployOptions, ImageBuilt, Resources, Scaling, Workload
from so1s.events.event import Value
from so1s.events.workload import Strategy
from so1s.validation import checked

_DEFAULT = "account default"
_MODEL_NAME = "model name"
_AS_SCALED = "as scaled"


class Defaults(Value):
    """An account's defaults."""

    strategy: Strategy = "rolling"
    resources: Resources = Resources()
    scaling: Scaling = Scaling()


def request(
    built: ImageBuilt, options: DeployOptions, defaults: Defaults, present: Workload | None = None
) -> DeploymentRequested:
    """The deployment that an image asks for, and where each of its options comes from.

    Args:
        built: the image.
        options: as the event and `so1s.yaml` say together.
        defaults: of the account.
        present: what the deployment is by now: where nothing is said of its scaling, that stays.

    Raises:
        InvalidInput: the options contradict each other.
    """
    resources = defaults.resources.model_copy(update=_said(options.resources))
    kept = present and not _said(options.scaling)
    scaling = fitting(present.scaling, resources) if kept else _scaling(options, defaults.scaling)
    workload = checked(
        Workload,
        model=built.model,
        version=built.version,
        image=built.image,
        endpoint=options.endpoint or built.model,
        initial_percent=options.initial_percent or 0,
        requires=options.requires or [],
        strategy=options.strategy or defaults.strategy,
        resources=resources,
        scaling=scaling,
        user=built.user,
        labels=built.labels,
        alerts=built.alerts,
    )
    return DeploymentRequested(
        account=built.account,
        deployment=options.deployment or built.model,
        workload=workload,
        uploaded_at=built.uploaded_at,
        requested_by=built.user,
        sources=sources(options, built.sources) | (_kept_sources(scaling) if kept else {}),
    )


def rescaled(workload: Workload, scaling: Scaling) -> Workload:
    """The workload with another number of replicas.

    Raises:
        InvalidInput: the targets do not fit what a replica reserves.
    """
    return checked(Workload, **workload.model_dump(exclude={"scaling"}), scaling=scaling)


def fitting(scaling: Scaling, resources: Resources) -> Scaling:
    """A deployment's scaling for another version of it: without a GPU there is no use of one to hold."""
    return scaling if resources.gpus else scaling.model_copy(update={"gpu_percent": None})


def _kept_sources(scaling: Scaling) -> dict[str, str]:
    return {f"scaling.{name}": _AS_SCALED for name in _said(scaling)}


def _scaling(options: DeployOptions, defaults: Scaling) -> Scaling:
    """The defaults under what is said; a bound that is not said gives way to the one that is."""
    said = _said(options.scaling)
    least = said.get("min_replicas", defaults.min_replicas)
    most = said.get("max_replicas", defaults.max_replicas)
    if "max_replicas" not in said:
        most = max(most, least)
    elif "min_replicas" not in said:
        least = min(least, most)
    whole = defaults.model_dump() | said | {"min_replicas": least, "max_replicas": most}
    return checked(Scaling, **whole)


def sources(options: DeployOptions, known: dict[str, str]) -> dict[str, str]:
    """Which layer each option comes from.

    Args:
        options: as the event and `so1s.yaml` say together.
        known: the layer of each option that is said.
    """
    said = _flat(options)
    unsaid = {"deployment": _MODEL_NAME, "endpoint": _MODEL_NAME, "strategy": _DEFAULT}
    unsaid |= {f"resources.{name}": _DEFAULT for name in Resources.model_fields}
    unsaid |= {f"scaling.{name}": _DEFAULT for name in ("min_replicas", "max_replicas")}
    given = {name: known.get(name, "event") for name in said}
    return unsaid | given


def _flat(options: DeployOptions) -> list[str]:
    names = []
    for name, value in _said(options).items():
        part = getattr(options, name)
        nested = isinstance(part, BaseModel)
        names += [f"{name}.{inner}" for inner in value] if nested else [name]
    return names


def _said(options: BaseModel) -> dict[str, Any]:
    return options.model_dump(exclude_none=True)

"""Changes of weights: a whole set is taken, refused, or waits for its variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.router.domain.endpoint import Endpoint, Variant
from so1s.events import RoutesRejected


@dataclass(frozen=True)
class Waiting:
    """The change names variants that cannot take traffic yet."""

    names: tuple[str, ...]


def decide(endpoint: Endpoint, weights: Mapping[str, int]) -> Endpoint | Waiting | RoutesRejected:
    """Decide on a whole set of weights.

    A variant that is named is attached at its weight, one that is not named is detached. A change
    waits for variants that were never ready, and for checks of those that shall take traffic.
    """
    for name, weight in weights.items():
        if refusal := _refusal(endpoint, name, weight):
            return endpoint.reject(f"weights.{name}", str(weight), refusal)
    waits = tuple(name for name, weight in weights.items() if _waits(endpoint.variants[name], weight))
    if waits:
        return Waiting(waits)
    return endpoint.having(
        _weighed(v, weights.get(v.deployment)) for v in endpoint.variants.values()
    ).rerouted()


def blockers(endpoint: Endpoint, names: Mapping[str, int]) -> str:
    """What a waiting change waits for, one clause a variant."""
    waiting = [
        endpoint.variants[name] for name, weight in names.items() if _waits(endpoint.variants[name], weight)
    ]
    return "; ".join(
        f"{v.deployment} is not ready"
        if v.state == "requested"
        else f"{v.deployment} lacks {', '.join(v.unjudged)}"
        for v in waiting
    )


def _refusal(endpoint: Endpoint, name: str, weight: int) -> str | None:
    variant = endpoint.variants.get(name)
    if variant is None or variant.state == "released":
        return f"the variants {', '.join(endpoint.known) or 'of a deployment that joined'}"
    if variant.state == "retiring" and weight:
        return "0, since the deployment retires"
    if variant.failed and weight:
        failures = "; ".join(f"{check} failed: {reason}" for check, reason in variant.failed.items())
        return f"0 until its checks pass; {failures}"
    return None


def _waits(variant: Variant, weight: int) -> bool:
    return variant.state == "requested" or (weight > 0 and bool(variant.unjudged))


def _weighed(variant: Variant, weight: int | None) -> Variant:
    if variant.state not in {"attached", "detached"}:
        return variant
    if weight is None:
        return replace(variant, state="detached", weight=0, joined=False)
    return replace(variant, state="attached", weight=weight, joined=True)

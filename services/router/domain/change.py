"""Changes of weights: a whole set is taken, refused, or waits for its variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.router.domain.endpoint import Endpoint, Variant
from so1s.events import RoutesRejected


@dataclass(frozen=True)
class Waiting:
    """The change names variants that cannot take traffic yet."""

    obstacles: Mapping[str, str]
    """What each of them waits for, for people."""

    def __str__(self) -> str:
        """What is waited for, one clause a variant."""
        return "; ".join(f"{name} waits for {obstacle}" for name, obstacle in self.obstacles.items())


def decide(endpoint: Endpoint, weights: Mapping[str, int]) -> Endpoint | Waiting | RoutesRejected:
    """Decide on a whole set of weights.

    A variant that is named is attached at its weight, one that is not named is detached. A change
    waits for variants that were never ready, and for checks of those that shall take traffic.
    """
    for name, weight in weights.items():
        if refusal := _refusal(endpoint, name, weight):
            return endpoint.reject(f"weights.{name}", str(weight), refusal)
    found = {name: _obstacle(endpoint.variants[name], weight) for name, weight in weights.items()}
    if obstacles := {name: obstacle for name, obstacle in found.items() if obstacle}:
        return Waiting(obstacles)
    return endpoint.having(
        _weighed(v, weights.get(v.deployment)) for v in endpoint.variants.values()
    ).rerouted()


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


def _obstacle(variant: Variant, weight: int) -> str | None:
    if variant.state == "requested":
        return "its replicas"
    if weight > 0 and variant.unjudged:
        return f"check {', '.join(variant.unjudged)}"
    return None


def _weighed(variant: Variant, weight: int | None) -> Variant:
    if variant.state not in {"attached", "detached"}:
        return variant
    if weight is None:
        return replace(variant, state="detached", weight=0, joined=False)
    return replace(variant, state="attached", weight=weight, joined=True)

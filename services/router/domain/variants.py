"""What becomes of a variant as its deployment is requested, ready, checked and retired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.router.domain.endpoint import Endpoint, Variant, Verdict
from services.router.domain.weights import HEAVIEST, InexactWeights, join
from so1s.events import DeploymentReady, RoutesRejected


@dataclass(frozen=True)
class Decision:
    """What an endpoint becomes, and what of the wish was refused."""

    endpoint: Endpoint
    rejected: RoutesRejected | None = None


def request(endpoint: Endpoint, deployment: str) -> Endpoint:
    """Know a deployment that was asked for, so that weights may name it before it is ready."""
    known = endpoint.variants.get(deployment, Variant(deployment, "released"))
    if known.state != "released":
        return endpoint
    return endpoint.having([Variant(deployment, revision=known.revision)])


def become_ready(endpoint: Endpoint, ready: DeploymentReady, verdicts: Mapping[str, Verdict]) -> Decision:
    """Put a ready revision on the route, at the weight that it may have by now.

    Args:
        endpoint: that the deployment joins.
        ready: the revision; one that is not newer than the known one changes nothing, and is refused
            where it is not on the route.
        verdicts: of the checks on that revision, which may be faster than this event.
    """
    known = endpoint.variants.get(ready.deployment, Variant(ready.deployment))
    if ready.revision <= known.revision:
        return Decision(endpoint, _staleness(endpoint, known, ready.revision))
    variant = _renewed(known, ready, verdicts)
    if known.state == "detached" and known.version_name == variant.version_name:
        return Decision(endpoint.having([variant]), _detached(endpoint, variant))
    attached = replace(variant, state="attached")
    return _judged(endpoint.having([attached]).rerouted(), attached)


def judge(endpoint: Endpoint, deployment: str, check: str, verdict: Verdict) -> Decision:
    """Let a check's verdict on a variant's present revision take effect."""
    before = endpoint.variants[deployment]
    after = replace(before, verdicts={**before.verdicts, check: verdict})
    judged = endpoint.having([after])
    if before.state != "attached" or check not in before.requires or before.cleared:
        return Decision(judged)
    return _judged(judged.rerouted() if after.cleared else judged, after)


def retire(endpoint: Endpoint, deployment: str, revision: int) -> Endpoint:
    """Take a weightless variant off the endpoint; one that was never on the route is released at once.

    A detached one is off the route, but a gateway may still have a former route that names it.
    An endpoint that is left without any variant has nothing to answer with: its host goes, too.

    Args:
        endpoint: that knows the variant.
        deployment: the variant's name.
        revision: the deployment's as it retires; what it said up to then is stale from now on.
    """
    known = endpoint.variants[deployment]
    variant = replace(known, revision=max(revision, known.revision), joined=False)
    if known.state == "retiring":
        return endpoint
    attached = known.state == "attached"
    drains = attached or known.state == "detached"
    after = endpoint.having([replace(variant, state="retiring" if drains else "released")])
    if not after.known and not after.removed:
        return remove(after)
    return after.rerouted() if attached else after


def has_newer(endpoint: Endpoint, deployment: str, revision: int) -> bool:
    """Whether a later revision of a deployment is there than the one that something is said of."""
    return endpoint.variants[deployment].revision > revision


def use_of(endpoint: Endpoint, deployment: str) -> str | None:
    """Why a variant cannot retire; None where it can."""
    variant = endpoint.variants[deployment]
    if not variant.weight:
        return None
    total = sum(endpoint.weights.values())
    if total == variant.weight:
        return (
            f"it takes all traffic of {endpoint.name}; give weight to another variant, or remove the endpoint"
        )
    return f"it has weight {variant.weight} of {total} on {endpoint.name}; set its weight to 0"


def remove(endpoint: Endpoint) -> Endpoint:
    """Take the host away; its variants are detached, and weights that name them revive it."""
    detached = [replace(v, state="detached", weight=0, joined=False) for v in endpoint.attached]
    return replace(endpoint.having(detached).rerouted(), removed=True)


def _renewed(known: Variant, ready: DeploymentReady, verdicts: Mapping[str, Verdict]) -> Variant:
    return replace(
        known,
        revision=ready.revision,
        model=ready.model,
        version=ready.version,
        service=ready.service,
        initial_percent=ready.initial_percent,
        requires=tuple(ready.requires),
        verdicts=verdicts,
    )


def _staleness(endpoint: Endpoint, known: Variant, revision: int) -> RoutesRejected | None:
    """Why a revision that is not newer than the known one is not on the route; None where it is."""
    if endpoint.has_attached(known.deployment, revision):
        return None
    if known.state == "detached":
        return _detached(endpoint, known)
    allowed = (
        f"{known.revision + 1} or later; {known.deployment} is {known.state} at revision {known.revision}"
    )
    return endpoint.reject("revision", str(revision), allowed)


def _detached(endpoint: Endpoint, variant: Variant) -> RoutesRejected:
    name = variant.deployment
    allowed = f"a variant that the weights name; {name} was detached, and joins again once they name it"
    return endpoint.reject("variant", name, allowed)


def _judged(endpoint: Endpoint, variant: Variant) -> Decision:
    if variant.cleared:
        return _admitted(endpoint, variant)
    reasons = "; ".join(f"{check}: {reason}" for check, reason in variant.failed.items())
    if not reasons:
        return Decision(endpoint)
    allowed = f"passed checks; {variant.deployment} ({variant.version_name}) failed {reasons}"
    return Decision(endpoint, endpoint.reject("requires", ", ".join(variant.failed), allowed))


def _admitted(endpoint: Endpoint, variant: Variant) -> Decision:
    if variant.joined:
        return Decision(endpoint)
    name = variant.deployment
    attached = endpoint.having([replace(variant, joined=True)])
    others = {other: weight for other, weight in endpoint.weights.items() if other != name}
    try:
        return Decision(attached.weighing(join(others, name, variant.initial_percent)))
    except InexactWeights:
        percent = str(variant.initial_percent)
        allowed = f"a percentage that keeps {others} in ratio with weights of at most {HEAVIEST}"
        return Decision(attached, endpoint.reject("initial_percent", percent, allowed))

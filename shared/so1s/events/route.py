"""Routes: which variants an endpoint's traffic goes to."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from so1s.events.deployment import Revision
from so1s.events.event import Event
from so1s.events.names import Actor, Name

Weight = Annotated[int, Field(ge=0, le=1_000_000)]


def _some_weight(weights: dict[str, int]) -> dict[str, int]:
    if sum(weights.values()) <= 0:
        raise ValueError("allowed: integers of at least 0 whose sum is above 0")
    return weights


Weights = Annotated[dict[Name, Weight], Field(min_length=1, max_length=50), AfterValidator(_some_weight)]
"""The whole set of an endpoint's variants: 0 keeps a variant attached, absence detaches it."""


class WeightsChanged(Event, key=("account", "endpoint")):
    """Split an endpoint's traffic as said. A request."""

    endpoint: Name
    weights: Weights
    expected_revision: Annotated[int, Field(ge=0)] | None = None
    """Refused where the route has another one."""
    changed_by: Actor = "unknown"
    reason: str = ""


class RoutesApplied(Event, key=("account", "endpoint")):
    """Every gateway answers with this revision of a route."""

    endpoint: Name
    revision: Revision
    host: str
    url: str
    weights: dict[Name, Weight]
    changed_by: Actor
    seconds: Annotated[float, Field(ge=0)]
    """From the decision until every gateway answered."""


class RoutesRejected(Event, key=("account", "endpoint")):
    """A change of a route is refused; the route stays as it was."""

    endpoint: Name
    field: str
    value: str
    allowed: str


class RoutesDegraded(Event, key=("account", "endpoint")):
    """Some gateways do not answer with a revision within the deadline, or the mesh refuses it."""

    endpoint: Name
    revision: Revision
    gateways_serving: Annotated[int, Field(ge=0)]
    gateways: Annotated[int, Field(ge=1)]
    reason: str = ""
    """The mesh's own words, where it refuses the route or fails to take it."""


class VariantReleased(Event, key=("account", "deployment")):
    """No endpoint sends traffic to a retiring deployment any more."""

    deployment: Name
    revision: Revision
    """The deployment's, as it retired."""


class VariantInUse(Event, key=("account", "deployment")):
    """A deployment cannot retire yet: an endpoint would lose its traffic's last or weighted variant.

    Nobody has to ask again: `VariantReleased` follows once the reason is gone.
    """

    deployment: Name
    revision: Revision
    endpoint: Name
    reason: str


class EndpointRemovalRequested(Event, key=("account", "endpoint")):
    """Take an endpoint's host away; its deployments stay.

    Weights that name them, or a new version of one, bring it back.
    """

    endpoint: Name
    requested_by: Actor


class EndpointRemoved(Event, key=("account", "endpoint")):
    """The host answers no more: that was requested, or the endpoint's last variant was released."""

    endpoint: Name
    removed_at: AwareDatetime

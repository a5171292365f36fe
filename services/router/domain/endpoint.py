"""Endpoints, their variants and the routes that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from so1s.events import RoutesRejected

State = Literal["requested", "attached", "detached", "retiring", "released"]


@dataclass(frozen=True)
class Verdict:
    """What a check said of one revision of a deployment."""

    passed: bool
    reason: str


@dataclass(frozen=True)
class Variant:
    """One arm of an endpoint; it bears its deployment's name."""

    deployment: str
    state: State = "requested"
    weight: int = 0
    revision: int = 0
    """The deployment's newest that was ready or retired; 0 where none was. What is not newer is stale."""
    model: str = ""
    version: str = ""
    service: str = ""
    """Where a mesh finds the replicas, as `DeploymentReady` says."""
    initial_percent: int = 0
    requires: tuple[str, ...] = ()
    """The checks that must have passed before it takes traffic."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """Of the checks on this revision, required or not."""
    joined: bool = False
    """Whether its weight is settled; else it gets one by its percentage once its checks passed."""

    @property
    def unjudged(self) -> list[str]:
        """The required checks that gave no verdict yet."""
        return [check for check in self.requires if check not in self.verdicts]

    @property
    def failed(self) -> dict[str, str]:
        """The required checks that failed, with their reasons."""
        found = {check: self.verdicts[check] for check in self.requires if check in self.verdicts}
        return {check: verdict.reason for check, verdict in found.items() if not verdict.passed}

    @property
    def cleared(self) -> bool:
        """Whether it may take traffic as far as checks go."""
        return not self.unjudged and not self.failed

    def is_cleared_by(self, check: str) -> bool:
        """Whether it may take traffic on the route, also because a check passed."""
        return self.state == "attached" and check in self.requires and self.cleared

    @property
    def version_name(self) -> str:
        """The version that it serves, such as `fraud@3`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class Endpoint:
    """A host, and every variant that it knows."""

    account: str
    name: str
    revision: int = 0
    """Of the route; 0 where there was none yet."""
    removed: bool = False
    """Whether the host answers no more; the next revision of the route revives it."""
    variants: Mapping[str, Variant] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """As events are keyed: `risk/fraud`."""
        return f"{self.account}/{self.name}"

    @property
    def attached(self) -> list[Variant]:
        """The variants on the route, in the order of their names."""
        return [v for _, v in sorted(self.variants.items()) if v.state == "attached"]

    @property
    def weights(self) -> dict[str, int]:
        """The weights of the variants on the route."""
        return {variant.deployment: variant.weight for variant in self.attached}

    @property
    def known(self) -> list[str]:
        """The names that weights may speak of."""
        return sorted(name for name, v in self.variants.items() if v.state not in {"retiring", "released"})

    @property
    def is_there(self) -> bool:
        """Whether it has a host, or a variant that may give it one."""
        return (self.revision > 0 and not self.removed) or any(
            variant.state != "released" for variant in self.variants.values()
        )

    def has_attached(self, deployment: str, revision: int) -> bool:
        """Whether a deployment is on the route with this very revision."""
        known = self.variants.get(deployment)
        return known is not None and (known.state, known.revision) == ("attached", revision)

    def having(self, variants: Iterable[Variant]) -> Self:
        """The endpoint with some variants as given, and the others as they are."""
        return replace(self, variants={**self.variants, **{v.deployment: v for v in variants}})

    def weighing(self, weights: Mapping[str, int]) -> Self:
        """The endpoint with some weights as given."""
        return self.having(replace(self.variants[name], weight=weight) for name, weight in weights.items())

    def reject(self, field: str, value: str, allowed: str) -> RoutesRejected:
        """The event that refuses a change of the route."""
        return RoutesRejected(
            account=self.account, endpoint=self.name, field=field, value=value, allowed=f"allowed: {allowed}"
        )

    def rerouted(self) -> Self:
        """The endpoint with the next revision of its route."""
        return replace(self, revision=self.revision + 1, removed=False)
